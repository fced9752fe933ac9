-- Lets failed deliveries of queue $1 be tried again, with all their attempts: those in $2, or all
-- (NULL) but those that a person gave up. $3: only those whose reason begins so (NULL: any). At
-- most $4. One whose token expired or was used stays as it is.
-- Index: deliveries_ended_idx, and the primary keys.
WITH chosen AS MATERIALIZED (
    SELECT d.token
      FROM deliveries d
      JOIN tokens t ON t.id = d.token
     WHERE d.queue = $1::text::job_type AND d.state = 'failed'
       AND CASE WHEN $2::bigint[] IS NOT NULL THEN d.token = ANY ($2)
                ELSE $3::text IS NOT NULL OR coalesce(d.error, '') NOT LIKE 'dropped by %' END
       AND ($3::text IS NULL OR starts_with(coalesce(d.error, ''), $3))
       AND to_timestamp(t.expires_at) > now() AND t.consumed_at IS NULL
     ORDER BY d.token
     LIMIT $4::bigint
       FOR UPDATE OF d
)
UPDATE deliveries d
   SET state = 'pending', attempts = 0, due_at = now(), settled_at = NULL,
       error = 'before: ' || regexp_replace(d.error, '^(before: |dropped by [^;]*; before: )+', '')
  FROM chosen
 WHERE d.token = chosen.token
RETURNING d.token
