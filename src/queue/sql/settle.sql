-- mailroom:settle
-- Writes down what became of deliveries: arrays of equal length.
--   $1 id  $2 lease  $3 new state  $4 cause, or nothing  $5 provider's id or reason
--   $6 delay, seconds   $7 whether an attempt was used
--   $8 whether this was tried before, and no answer came
--   $9 whether to pass over rows that others have locked, and tell which
--
-- Only the holder of the lease may write, except that a success always counts. What was sent is
-- tallied by the minute, in a row that few other connections write to. What was tried before may
-- have been written then: what stands as it should counts as written.
-- Index: the primary keys.
WITH free AS MATERIALIZED (
    SELECT id FROM deliveries WHERE $9::bool AND id = ANY ($1::bigint[])
       FOR UPDATE SKIP LOCKED
),
done AS (
    UPDATE deliveries d
       SET state = o.state::delivery_state,
           cause = nullif(o.cause, '')::delivery_cause,
           attempts = least(d.attempts::bigint + o.counts::int, 2147483647)::int,
           lease = NULL,
           due_at = CASE WHEN o.state = 'pending'
                         THEN greatest(now(), least(now() + make_interval(secs => o.delay),
                                  d.expires_at - interval '1 second',
                                  (SELECT to_timestamp(expires_at) - interval '1 second'
                                     FROM tokens WHERE id = d.id)))
                         ELSE d.due_at END,
           provider_id = CASE WHEN o.state = 'sent' THEN nullif(o.text, '') ELSE d.provider_id END,
           error = CASE WHEN o.state = 'sent' THEN NULL ELSE o.text END,
           settled_at = CASE WHEN o.state = 'pending' THEN NULL ELSE now() END
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[],
                  $7::bool[])
           AS o (id, lease, state, cause, text, delay, counts)
     WHERE d.id = o.id
       AND (d.state = 'leased' AND d.lease = o.lease OR o.state = 'sent' AND d.state <> 'sent')
       AND (NOT $9 OR d.id = ANY (ARRAY(SELECT id FROM free)))
    RETURNING d.id, d.queue, d.state, d.issue
),
tallied AS (
    INSERT INTO tallies AS t (queue, minute, writer, sent, issue)
    SELECT queue, date_trunc('minute', now()), pg_backend_pid() % 8, count(*), coalesce(issue, 0)
      FROM done
     WHERE state = 'sent'
     GROUP BY queue, issue
    ON CONFLICT (queue, minute, writer, issue) DO UPDATE SET sent = t.sent + excluded.sent
)
SELECT coalesce(array_agg(id), '{}') AS written,
       ARRAY(SELECT id
               FROM deliveries
              WHERE $9 AND id = ANY ($1::bigint[])
                AND id <> ALL (ARRAY(SELECT id FROM free))) AS locked
  FROM (SELECT id FROM done
         UNION ALL
        SELECT d.id
          FROM unnest($1::bigint[], $3::text[], $4::text[], $5::text[]) AS o (id, state, cause, text)
          JOIN deliveries d ON d.id = o.id
         WHERE $8::bool AND d.lease IS NULL AND d.state = o.state::delivery_state
           AND d.cause IS NOT DISTINCT FROM nullif(o.cause, '')::delivery_cause
           AND (o.state <> 'sent' OR d.provider_id IS NOT DISTINCT FROM nullif(o.text, ''))) AS written
