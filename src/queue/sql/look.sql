-- mailroom:look
-- How many deliveries of queue $1 are due, counted up to $2; how long the oldest of those has
-- been; in how many seconds the first of those expires; in how many the next one, or an issue, comes
-- due; whether there is an issue to make deliveries of; and why the queue is paused, if it is: then nothing is
-- due, and nothing comes.
--   $3 priorities, ascending   $4 from when on each has rows (levels.sql)
--   $5 the priority from which on nothing counts, if any does not
--   $6 where the last look began in each, or $4, or, with $7, where a claim ended since (turn.sql):
--      then a tenth of a second is left for what commits meanwhile
-- `reached` is where this look began, and the claim that follows is to begin.
--
-- Index: deliveries_claim_idx (queue, priority, due_at, id) WHERE state = 'pending', from the floor
-- of each priority on for what is due, from now on for what comes next; issues_publishing_idx.
WITH level AS MATERIALIZED (
    SELECT priority, greatest(floor, reached - CASE WHEN $7::bool THEN interval '100 ms'
                                                 ELSE interval '0' END) AS floor
      FROM unnest($3::text::smallint[], $4::text::timestamptz[], $6::text::timestamptz[])
           AS level (priority, floor, reached)
),
pause AS MATERIALIZED (
    SELECT coalesce(bool_or(paused_at IS NOT NULL), false) AS paused, max(paused_reason) AS reason
      FROM jobs
     WHERE job_type = $1::text::job_type
)
SELECT count(*) AS due,
       coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS age,
       extract(epoch FROM min(least(
           expires_at,
           to_timestamp((SELECT expires_at FROM tokens WHERE id = waiting.id))
       )) - now())::float8 AS expires,
       (SELECT extract(epoch FROM least(
                   min(d.due_at),
                   (SELECT min(not_before) FROM issues
                     WHERE state = 'publishing' AND not_before > now()
                       AND NOT (SELECT paused FROM pause))) - now())
          FROM level
         CROSS JOIN LATERAL
               (SELECT due_at
                  FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'pending'
                   AND priority = level.priority AND due_at > now()
                   AND NOT (SELECT paused FROM pause)
                 ORDER BY due_at
                 LIMIT 1) AS d)::float8 AS next,
       EXISTS (SELECT FROM issues
                WHERE state = 'publishing' AND not_before <= now()
                  AND NOT (SELECT paused FROM pause)) AS issue,
       (SELECT coalesce(reason, '') FROM pause WHERE paused) AS paused,
       (SELECT array_agg(floor ORDER BY priority) FROM level)::text AS reached
  FROM (SELECT d.id, d.due_at, d.expires_at
          FROM level
         CROSS JOIN LATERAL
               (SELECT id, due_at, expires_at
                  FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'pending'
                   AND priority = level.priority AND due_at BETWEEN level.floor AND now()
                   AND NOT (SELECT paused FROM pause)
                 ORDER BY due_at, id
                 LIMIT $2::bigint) AS d
         WHERE level.priority < $5::smallint IS NOT FALSE
         LIMIT $2::bigint) AS waiting
