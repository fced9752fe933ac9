-- mailroom:levels
-- Where the pending deliveries of queue $1 begin: the priorities there are, ascending, and the
-- moment from which each has any; the first one that is a list's; whether a delivery is due, or will be
-- within a second; and in how many seconds the first lease runs out (one that ran out already counts:
-- nobody may have been looking when it did).
-- With $2 only what was written in the last $2 seconds is searched, or from where the last search found
-- something, of the priorities of kinds and of $3, with the moments $4, as this gave them; and nothing of
-- leases.
-- Indexes: deliveries_claim_idx, deliveries_state_idx (queue, state, due_at) WHERE state > 'pending'.
WITH RECURSIVE first AS (
    (SELECT priority, due_at
       FROM deliveries
      WHERE queue = $1::text::job_type AND state = 'pending' AND $2::float8 IS NULL
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
found AS (
    SELECT priority, due_at FROM first
     UNION ALL
    SELECT known.priority, d.due_at
      FROM (SELECT priority, min(floor) AS floor
              FROM (SELECT unnest($3::text::smallint[]) AS priority,
                           unnest($4::text::timestamptz[]) AS floor
                     UNION ALL
                    SELECT priority, NULL FROM kinds WHERE queue = $1::text::job_type) AS either
             GROUP BY priority) AS known
      LEFT JOIN LATERAL
           (SELECT due_at
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = 'pending' AND priority = known.priority
               AND due_at >= least(known.floor, now() - make_interval(secs => $2))
             ORDER BY due_at
             LIMIT 1) AS d ON true
),
level AS (
    SELECT priority, least(min(due_at), now() - interval '2 seconds') AS floor
      FROM found
     GROUP BY priority
)
SELECT array_agg(priority ORDER BY priority)::text AS priorities,
       array_agg(floor ORDER BY priority)::text AS floors,
       (SELECT min(k.priority) FROM lists l JOIN kinds k ON k.kind = l.list) AS lists,
       (SELECT coalesce(min(due_at) < now() + interval '1 second', false) FROM found) AS due,
       (SELECT extract(epoch FROM min(due_at) - now())
          FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'leased' AND $2 IS NULL)::float8 AS lease
  FROM level
