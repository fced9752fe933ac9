-- Gives deliveries of queue $1 up, in the name of $5: those in $2, or all (NULL) that wait or
-- failed. $3: only those whose reason begins so (NULL: any). At most $4. Who is being sent is
-- left alone.
-- Indexes: deliveries_claim_idx, deliveries_failed_idx.
WITH chosen AS MATERIALIZED (
    SELECT token
      FROM deliveries
     WHERE queue = $1::text::job_type
       AND (state = 'pending' OR state = 'failed' AND coalesce(error, '') NOT LIKE 'dropped by %')
       AND ($2::bigint[] IS NULL OR token = ANY ($2))
       AND ($3::text IS NULL OR starts_with(coalesce(error, ''), $3))
       AND created_at <= $6::timestamptz
     ORDER BY token
     LIMIT $4::bigint
       FOR UPDATE
)
UPDATE deliveries d
   SET state = 'failed', settled_at = now(),
       error = 'dropped by ' || $5 || coalesce('; before: '
               || regexp_replace(d.error, '^(before: |dropped by [^;]*; before: )+', ''), '')
  FROM chosen
 WHERE d.token = chosen.token
RETURNING d.token
