-- How many deliveries of queue $1 are due, counted up to $2; how long the oldest of those has
-- been; and in how many seconds the next one comes due or the next lease runs out. A lease that
-- ran out already counts: nobody may have been looking when it did.
--
-- Indexes: deliveries_claim_idx, and deliveries_wake_idx (queue, due_at)
-- WHERE state IN ('pending', 'leased').
SELECT count(*) AS due,
       coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS age,
       extract(epoch FROM least(
           (SELECT min(due_at)
              FROM deliveries
             WHERE queue = $1::text::job_type AND state IN ('pending', 'leased')
               AND due_at > now()),
           (SELECT due_at
              FROM deliveries
             WHERE queue = $1::text::job_type AND state IN ('pending', 'leased')
               AND due_at <= now() AND state = 'leased'
             LIMIT 1)) - now())::float8 AS next
  FROM (SELECT due_at
          FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'pending' AND due_at <= now()
         ORDER BY priority, due_at, token
         LIMIT $2::bigint) AS waiting
