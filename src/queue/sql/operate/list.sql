-- mailroom:list
-- The first $3 deliveries of queue $1 in each of the states $2: what waits in the order of
-- claims, what is settled from the latest.
-- Indexes: deliveries_claim_idx, deliveries_state_idx (queue, state, due_at) WHERE state > 'pending'.
WITH found AS MATERIALIZED (
    (SELECT id, 1 AS part, row_number() OVER (ORDER BY due_at) AS place
       FROM deliveries
      WHERE 'leased' = ANY ($2::text[]) AND queue = $1::text::job_type AND state = 'leased'
      ORDER BY due_at LIMIT $3::bigint)
    UNION ALL
    (SELECT id, 2, row_number() OVER (ORDER BY priority, due_at, id)
       FROM deliveries
      WHERE 'pending' = ANY ($2::text[]) AND queue = $1::text::job_type AND state = 'pending'
      ORDER BY priority, due_at, id LIMIT $3::bigint)
    UNION ALL
    SELECT ended.id, part, place
      FROM (VALUES ('failed', 3), ('expired', 4), ('superseded', 5), ('sent', 6)) AS each (name, part)
     CROSS JOIN LATERAL
           (SELECT id, row_number() OVER (ORDER BY due_at DESC) AS place
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = name::delivery_state
               AND state > 'pending'
             ORDER BY due_at DESC LIMIT $3::bigint) AS ended
     WHERE name = ANY ($2::text[])
)
SELECT id FROM found ORDER BY part, place LIMIT $3::bigint
