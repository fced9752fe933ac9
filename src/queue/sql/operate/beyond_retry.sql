-- mailroom:beyond_retry
-- How many failed deliveries of queue $1 cannot be tried again, of those that retry.sql would choose
-- without ids with text $2 and cause $3: their time is over, or their tokens were used.
-- Index: deliveries_state_idx, and the primary keys.
SELECT count(*)
  FROM deliveries d
  LEFT JOIN tokens t USING (id)
 WHERE d.queue = $1::text::job_type AND d.state = 'failed'
   AND (coalesce($2::text, $3::text) IS NOT NULL OR d.cause IS DISTINCT FROM 'dropped')
   AND ($2::text IS NULL OR starts_with(coalesce(d.error, ''), $2))
   AND ($3::text IS NULL OR d.cause = $3::text::delivery_cause)
   AND (least(d.expires_at, to_timestamp(t.expires_at)) <= now() OR t.consumed_at IS NOT NULL)
