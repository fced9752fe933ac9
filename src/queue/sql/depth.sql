-- mailroom:depth
-- Counts the deliveries of queue $1 that wait, by state and each up to $2; tells for how long the
-- oldest due one has been due; and of issues, how many deliveries are to be made, and how many wait.
-- Indexes: deliveries_claim_idx (queue, priority, due_at, id) WHERE state = 'pending', of which the
-- first of each priority is the oldest; deliveries_state_idx; deliveries_issue_idx.
WITH RECURSIVE first AS (
    (SELECT priority, due_at
       FROM deliveries
      WHERE queue = $1::text::job_type AND state = 'pending'
      ORDER BY priority, due_at
      LIMIT 1)
    UNION ALL
    SELECT next.priority, next.due_at
      FROM first
     CROSS JOIN LATERAL
           (SELECT priority, due_at
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = 'pending'
               AND priority > first.priority
             ORDER BY priority, due_at
             LIMIT 1) AS next
)
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
       (SELECT coalesce(extract(epoch FROM greatest(now() - min(due_at), interval '0')), 0)
          FROM first)::float8 AS oldest,
       (SELECT coalesce(sum(greatest(i.total - i.enqueued, 0)), 0)::bigint
          FROM issues i
          JOIN kinds k ON k.kind = i.list
         WHERE k.queue = $1::text::job_type AND i.state IN ('publishing', 'paused')) AS unmade,
       (SELECT count(*)
          FROM (SELECT FROM deliveries
                 WHERE queue = $1::text::job_type AND issue IS NOT NULL
                   AND state IN ('pending', 'leased')
                 LIMIT $2::bigint) AS n) AS of_issues
