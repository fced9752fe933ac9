-- mailroom:show
-- The deliveries $1, of any queue, in this order; $2: with the values of their data, else with its names
-- alone. Index: the primary keys.
SELECT d.id, d.queue::text AS queue, d.state::text AS state, d.cause::text AS cause,
       d.attempts, d.priority, d.kind, t.account, coalesce(d.recipient, a.email, '') AS email,
       CASE WHEN $2::bool THEN coalesce(a.login, '') END AS login, a.status::text AS account_status,
       d.lease, nullif(d.provider_id, '') AS provider_id, nullif(d.error, '') AS error,
       t.consumed_at IS NOT NULL AS token_used,
       round(extract(epoch FROM now() - d.created_at)::numeric, 3)::float8 AS created_seconds_ago,
       round(extract(epoch FROM now() - d.due_at)::numeric, 3)::float8 AS due_seconds_ago,
       CASE WHEN d.state > 'leased' THEN round(extract(epoch FROM now() - d.due_at)::numeric, 3)::float8
       END AS settled_seconds_ago,
       round(extract(epoch FROM least(d.expires_at, to_timestamp(t.expires_at)) - now())::numeric, 3)::float8
           AS token_expires_in_seconds,
       nullif(d.locale, '') AS locale, nullif(d.key, '') AS key,
       CASE WHEN $2::bool THEN d.data
            WHEN d.data IS NOT NULL
            THEN (SELECT coalesce(jsonb_agg(name), '[]') FROM jsonb_object_keys(d.data) AS name)
       END::text AS data,
       CASE WHEN d.state = 'pending' AND d.due_at > now()
            THEN to_char(d.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
       END AS not_before
  FROM unnest($1::bigint[]) WITH ORDINALITY AS chosen (id, place)
  JOIN deliveries d USING (id)
  LEFT JOIN tokens t USING (id)
  LEFT JOIN accounts a ON a.id = t.account
 ORDER BY chosen.place
