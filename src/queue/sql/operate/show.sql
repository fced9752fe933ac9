-- The deliveries $1, of any queue, as list.sql gives them. Index: the primary keys.
SELECT d.token AS id, d.queue::text AS queue, d.state::text AS state, d.attempts, d.priority,
       t.action::text AS action, t.account, a.email, a.login, a.status::text AS status,
       coalesce(d.lease, '') AS lease, coalesce(d.provider_id, '') AS provider_id,
       coalesce(d.error, '') AS error, t.consumed_at IS NOT NULL AS consumed,
       extract(epoch FROM now())::float8 - extract(epoch FROM d.created_at)::float8 AS created,
       extract(epoch FROM now())::float8 - extract(epoch FROM d.due_at)::float8 AS due,
       extract(epoch FROM now())::float8 - extract(epoch FROM d.settled_at)::float8 AS settled,
       (extract(epoch FROM now()) - t.expires_at)::float8 AS expires
  FROM deliveries d
  JOIN tokens t ON t.id = d.token
  JOIN accounts a ON a.id = t.account
 WHERE d.token = ANY ($1::bigint[])
 ORDER BY d.token
