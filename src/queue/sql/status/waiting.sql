-- What waits in queue $1 or is being sent, by why it waits. What is held or was put off has been due
-- since it was made: each try puts it off again.
-- Index: deliveries_wake_idx (queue, state, due_at) WHERE state IN ('pending', 'leased').
SELECT CASE WHEN state = 'pending'
             AND (error LIKE 'held: %' OR error LIKE 'put off: %' OR error LIKE 'waits: %')
            THEN error END AS why,
       count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'pending' AND due_at <= now()) AS due,
       count(*) FILTER (WHERE state = 'pending' AND attempts > 0) AS retrying,
       count(*) FILTER (WHERE state = 'leased') AS leased,
       extract(epoch FROM now() - min(created_at)
           FILTER (WHERE state = 'pending' AND isfinite(created_at)))::float8
           AS oldest_pending,
       extract(epoch FROM now() - min(
               CASE WHEN error LIKE 'held: %' OR error LIKE 'put off: %' THEN created_at
                    ELSE due_at END)
           FILTER (WHERE (due_at <= now() OR error LIKE 'held: %' OR error LIKE 'put off: %')
                     AND isfinite(due_at) AND isfinite(created_at)))::float8
           AS oldest_due
  FROM deliveries
 WHERE queue = $1::text::job_type AND state IN ('pending', 'leased')
 GROUP BY 1
 ORDER BY 2 DESC, 1
