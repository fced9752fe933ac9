-- mailroom:beyond_retry
-- How many failed deliveries of queue $1 cannot be tried again, of those that retry.sql would choose
-- without ids and with text $2: their time is over, or their tokens were used.
-- Index: deliveries_ended_idx, and the primary keys.
SELECT count(*)
  FROM deliveries d
  LEFT JOIN tokens t USING (id)
 WHERE d.queue = $1::text::job_type AND d.state = 'failed'
   AND CASE WHEN $2::text IS NULL THEN d.cause IS DISTINCT FROM 'dropped'
            ELSE starts_with(coalesce(d.error, ''), $2) END
   AND (least(d.expires_at, to_timestamp(t.expires_at)) <= now() OR t.consumed_at IS NOT NULL)
