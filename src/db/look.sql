-- How many deliveries of queue $1 are due, counted up to $2; how long the oldest of those has
-- been; in how many seconds the next one comes due or the next lease runs out (one that ran out
-- already counts: nobody may have been looking when it did); and whether the queue is paused: then
-- nothing is due, and nothing comes. With $3, what is due is looked for from there on, as claim.sql
-- does. Somebody may have written infinity into due_at by hand, from
-- which nothing can be subtracted.
--
-- Indexes: deliveries_claim_idx, and deliveries_wake_idx (queue, state, due_at)
-- WHERE state IN ('pending', 'leased').
WITH pause AS MATERIALIZED (
    SELECT coalesce(bool_or(paused_at IS NOT NULL), false) AS paused, max(paused_reason) AS reason
      FROM jobs
     WHERE job_type = $1::text::job_type
)
SELECT count(*) AS due,
       coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE isfinite(due_at))), 0)::float8
           AS age,
       CASE WHEN NOT (SELECT paused FROM pause) THEN extract(epoch FROM least(
           (SELECT min(due_at)
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = 'pending' AND due_at > now()
               AND due_at < 'infinity'),
           (SELECT min(due_at)
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = 'leased' AND isfinite(due_at)
               AND due_at >= coalesce($3::text::timestamptz, '-infinity'))
           ) - now())::float8 END AS next,
       (SELECT paused FROM pause) AS paused,
       (SELECT reason FROM pause) AS reason
  FROM ((SELECT due_at
           FROM deliveries
          WHERE queue = $1::text::job_type AND state = 'pending' AND due_at <= now()
            AND NOT (SELECT paused FROM pause) AND $3::text IS NULL
          ORDER BY priority, due_at, token
          LIMIT $2::bigint)
        UNION ALL
        (SELECT later.due_at
           FROM unnest(ARRAY(SELECT priority FROM actions UNION SELECT 50 ORDER BY 1))
                AS each (priority)
          CROSS JOIN LATERAL (
                SELECT due_at
                  FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'pending'
                   AND priority = each.priority
                   AND due_at >= $3::text::timestamptz AND due_at <= now()
                 ORDER BY due_at, token
                 LIMIT $2::bigint) later
          WHERE NOT (SELECT paused FROM pause) AND $3::text IS NOT NULL
          LIMIT $2::bigint)) AS waiting
