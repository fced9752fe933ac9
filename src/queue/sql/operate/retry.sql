-- mailroom:retry
-- Lets failed deliveries of queue $1 be tried again, with all their attempts: those in $2, or all
-- (NULL) but those that a person gave up. $3: only those of which people read a text that begins so
-- (NULL: any); $5: only those of this cause. At most $4. One whose time is over, or whose token was used, stays as it is.
-- Index: deliveries_state_idx, and the primary keys.
WITH chosen AS MATERIALIZED (
    SELECT d.id
      FROM deliveries d
      LEFT JOIN tokens t USING (id)
     WHERE d.queue = $1::text::job_type AND d.state = 'failed'
       AND CASE WHEN $2::bigint[] IS NOT NULL THEN d.id = ANY ($2)
                ELSE coalesce($3::text, $5::text) IS NOT NULL
                  OR d.cause IS DISTINCT FROM 'dropped' END
       AND ($3::text IS NULL OR starts_with(coalesce(d.error, ''), $3))
       AND ($5::text IS NULL OR d.cause = $5::text::delivery_cause)
       AND coalesce(least(d.expires_at, to_timestamp(t.expires_at)) > now(), true)
       AND t.consumed_at IS NULL
     ORDER BY d.id
     LIMIT $4::bigint
       FOR UPDATE OF d
)
UPDATE deliveries d
   SET state = 'pending', cause = NULL, error = NULL, attempts = 0, due_at = now()
  FROM chosen
 WHERE d.id = chosen.id
RETURNING d.id
