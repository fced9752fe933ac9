-- Counts the deliveries of queue $1 that wait, by state and each up to $2; and tells for how long
-- the oldest due one has been due.
-- Index: deliveries_wake_idx.
SELECT (SELECT count(*)
          FROM (SELECT FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'pending' AND due_at <= now()
                 LIMIT $2::bigint) AS d) AS due,
       (SELECT count(*)
          FROM (SELECT FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'pending' AND due_at > now()
                 LIMIT $2::bigint) AS l) AS later,
       (SELECT count(*)
          FROM (SELECT FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'leased'
                 LIMIT $2::bigint) AS h) AS leased,
       coalesce(extract(epoch FROM now() - (
           SELECT min(due_at)
             FROM deliveries
            WHERE queue = $1::text::job_type AND state = 'pending'
              AND due_at > '-infinity' AND due_at <= now())), 0)::float8 AS oldest
