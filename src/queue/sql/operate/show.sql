-- mailroom:show
-- The deliveries $1, of any queue, as list.sql gives them. Index: the primary keys.
SELECT d.id, d.queue::text AS queue, d.state::text AS state, coalesce(d.cause::text, '') AS cause,
       d.attempts, d.priority, d.kind, t.account, coalesce(d.recipient, a.email, '') AS email,
       coalesce(a.login, '') AS login, coalesce(a.status::text, '') AS status,
       coalesce(d.lease, '') AS lease, coalesce(d.provider_id, '') AS provider_id,
       coalesce(d.error, '') AS error, t.consumed_at IS NOT NULL AS consumed,
       extract(epoch FROM now() - d.created_at)::float8 AS created,
       extract(epoch FROM now() - d.due_at)::float8 AS due,
       extract(epoch FROM now() - d.settled_at)::float8 AS settled,
       extract(epoch FROM now() - least(d.expires_at, to_timestamp(t.expires_at)))::float8 AS expires
  FROM deliveries d
  LEFT JOIN tokens t USING (id)
  LEFT JOIN accounts a ON a.id = t.account
 WHERE d.id = ANY ($1::bigint[])
 ORDER BY d.id
