-- How many deliveries of queue $1 are due, counted up to $2; how long the oldest of those has
-- been; in how many seconds the first token of those expires; in how many the next one comes due;
-- and whether the queue is paused: then nothing is due, and nothing comes. Somebody may have
-- written infinity into due_at by hand, from which nothing can be subtracted.
--   $3 priorities, ascending   $4 from when on each has rows (levels.sql)
--
-- What is due is asked for in the order of deliveries_claim_idx, what comes next in that of
-- deliveries_wake_idx (queue, state, due_at) WHERE state IN ('pending', 'leased'): without an order
-- either could be read from the other index, past all that is in it.
WITH pause AS MATERIALIZED (
    SELECT coalesce(bool_or(paused_at IS NOT NULL), false) AS paused, max(paused_reason) AS reason
      FROM jobs
     WHERE job_type = $1::text::job_type
)
SELECT count(*) AS due,
       coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE isfinite(due_at))), 0)::float8
           AS age,
       (min((SELECT expires_at FROM tokens WHERE id = waiting.token))
           - extract(epoch FROM now()))::float8 AS expires,
       CASE WHEN NOT (SELECT paused FROM pause) THEN
           (SELECT extract(epoch FROM due_at - now())
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = 'pending' AND due_at > now()
               AND due_at < 'infinity'
             ORDER BY due_at
             LIMIT 1) END::float8 AS next,
       (SELECT paused FROM pause) AS paused,
       (SELECT reason FROM pause) AS reason
  FROM (SELECT d.token, d.due_at
          FROM unnest($3::text::smallint[], $4::text::timestamptz[]) AS level (priority, floor)
         CROSS JOIN LATERAL
               (SELECT token, due_at
                  FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'pending'
                   AND priority = level.priority AND due_at BETWEEN level.floor AND now()
                   AND NOT (SELECT paused FROM pause)
                 ORDER BY due_at, token
                 LIMIT $2::bigint) AS d
         LIMIT $2::bigint) AS waiting
