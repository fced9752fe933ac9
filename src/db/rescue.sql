-- Puts back deliveries of queue $1 whose lease ran out; with $2 also lets those that were held
-- be tried now. At most $3 rows.
-- Index: deliveries_wake_idx (queue, due_at) WHERE state IN ('pending', 'leased').
WITH lapsed AS MATERIALIZED (
    SELECT token
      FROM deliveries
     WHERE queue = $1::text::job_type AND state IN ('pending', 'leased')
       AND (state = 'leased' AND due_at <= now()
            OR $2::bool AND state = 'pending' AND due_at > now() AND error LIKE 'held: %')
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED
)
UPDATE deliveries d
   SET state = 'pending', lease = NULL, due_at = now()
  FROM lapsed
 WHERE d.token = lapsed.token
RETURNING d.state
