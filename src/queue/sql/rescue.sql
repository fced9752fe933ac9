-- Puts back deliveries of queue $1 whose lease ran out; with $2 also lets those that were held
-- be tried now. At most $3 rows of each, and none of $4. Tells who had the lease: the first word of its text.
-- Index: deliveries_wake_idx (queue, state, due_at) WHERE state IN ('pending', 'leased').
WITH lapsed AS MATERIALIZED (
    SELECT token, split_part(lease, ':', 1) AS holder
      FROM deliveries
     WHERE queue = $1::text::job_type AND state = 'leased' AND due_at <= now()
       AND token <> ALL ($4::bigint[])
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED
),
held AS MATERIALIZED (
    SELECT token, NULL::text AS holder
      FROM deliveries
     WHERE $2::bool AND queue = $1::text::job_type AND state = 'pending' AND due_at > now()
       AND error LIKE 'held: %'
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED
)
UPDATE deliveries d
   SET state = 'pending', lease = NULL, due_at = now()
  FROM (SELECT token, holder FROM lapsed UNION ALL SELECT token, holder FROM held) AS put_back
 WHERE d.token = put_back.token
RETURNING put_back.holder
