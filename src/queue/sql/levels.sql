-- mailroom:levels
-- Where the pending deliveries of queue $1 begin: the priorities there are, ascending, and the
-- moment from which each has any; the first one that is a list's; whether a delivery is due, or will be
-- within a second; and in how many seconds the first lease runs out (one that ran out already counts:
-- nobody may have been looking when it did).
-- Indexes: deliveries_claim_idx, deliveries_state_idx (queue, state, due_at) WHERE state > 'pending'.
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
),
level AS (
    SELECT priority, least(min(due_at), now() - interval '2 seconds') AS floor
      FROM (SELECT priority, due_at FROM first
             UNION ALL
            SELECT priority, NULL FROM kinds WHERE queue = $1::text::job_type) AS either
     GROUP BY priority
)
SELECT array_agg(priority ORDER BY priority)::text AS priorities,
       array_agg(floor ORDER BY priority)::text AS floors,
       (SELECT min(k.priority) FROM lists l JOIN kinds k ON k.kind = l.list) AS lists,
       (SELECT coalesce(min(due_at) < now() + interval '1 second', false) FROM first) AS due,
       (SELECT extract(epoch FROM min(due_at) - now())
          FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'leased')::float8 AS lease
  FROM level
