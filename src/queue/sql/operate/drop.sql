-- mailroom:drop
-- Gives deliveries of queue $1 up, in the name of $5: those in $2, or all (NULL) that wait or
-- failed. $3: only those of which people read a text that begins so (NULL: any); $7: only those of
-- this cause. At most $4. Who is being sent is left alone.
-- Indexes: deliveries_claim_idx, deliveries_state_idx.
WITH chosen AS MATERIALIZED (
    SELECT id
      FROM deliveries
     WHERE queue = $1::text::job_type
       AND (state = 'pending' OR state = 'failed' AND cause IS DISTINCT FROM 'dropped')
       AND ($2::bigint[] IS NULL OR id = ANY ($2))
       AND ($3::text IS NULL OR starts_with(coalesce(error, ''), $3))
       AND ($7::text IS NULL OR cause = $7::text::delivery_cause)
       AND created_at <= $6::timestamptz
     ORDER BY id
     LIMIT $4::bigint
       FOR UPDATE
)
UPDATE deliveries d
   SET state = 'failed', cause = 'dropped', due_at = now(),
       error = concat_ws('; before: ', 'dropped by ' || $5, d.error)
  FROM chosen
 WHERE d.id = chosen.id
RETURNING d.id
