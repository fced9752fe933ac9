-- Writes down what became of deliveries: arrays of equal length.
--   $1 token  $2 lease  $3 new state  $4 provider's id or reason  $5 delay, seconds
--   $6 whether an attempt was used   $7 whether this was tried before, and no answer came
--   $8 whether to pass over rows that others have locked, and tell which
--
-- Only the holder of the lease may write, except that a success always counts. What was sent is
-- tallied by the minute, in a row that few other connections write to. What was tried before may
-- have been written then: what stands as it should counts as written.
-- Index: the primary keys.
WITH free AS MATERIALIZED (
    SELECT token FROM deliveries WHERE $8::bool AND token = ANY ($1::bigint[])
       FOR UPDATE SKIP LOCKED
),
done AS (
    UPDATE deliveries d
       SET state = o.state::delivery_state,
           attempts = least(d.attempts::bigint + o.counts::int, 2147483647)::int,
           lease = NULL,
           due_at = CASE WHEN o.state = 'pending'
                         THEN greatest(now(), least(now() + make_interval(secs => o.delay),
                                  (SELECT to_timestamp(expires_at) - interval '1 second'
                                     FROM tokens WHERE id = d.token)))
                         ELSE d.due_at END,
           provider_id = CASE WHEN o.state = 'sent' THEN nullif(o.text, '') ELSE d.provider_id END,
           error = CASE WHEN o.state = 'sent' THEN NULL ELSE o.text END,
           settled_at = CASE WHEN o.state = 'pending' THEN NULL ELSE now() END
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::bool[])
           AS o (token, lease, state, text, delay, counts)
     WHERE d.token = o.token
       AND (d.state = 'leased' AND d.lease = o.lease OR o.state = 'sent' AND d.state <> 'sent')
       AND (NOT $8 OR d.token = ANY (ARRAY(SELECT token FROM free)))
    RETURNING d.token, d.queue, d.state
),
tallied AS (
    INSERT INTO tallies AS t (queue, minute, writer, sent)
    SELECT queue, date_trunc('minute', now()), pg_backend_pid() % 8, count(*)
      FROM done
     WHERE state = 'sent'
     GROUP BY queue
    ON CONFLICT (queue, minute, writer) DO UPDATE SET sent = t.sent + excluded.sent
)
SELECT coalesce(array_agg(token), '{}') AS written,
       ARRAY(SELECT token
               FROM deliveries
              WHERE $8 AND token = ANY ($1::bigint[])
                AND token <> ALL (ARRAY(SELECT token FROM free))) AS locked
  FROM (SELECT token FROM done
         UNION ALL
        SELECT d.token
          FROM unnest($1::bigint[], $3::text[], $4::text[]) AS o (token, state, text)
          JOIN deliveries d ON d.token = o.token
         WHERE $7::bool AND d.lease IS NULL AND d.state = o.state::delivery_state
           AND coalesce(CASE WHEN o.state = 'sent' THEN d.provider_id ELSE d.error END, '')
               = o.text) AS written
