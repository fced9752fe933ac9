-- How many failed deliveries of queue $1 cannot be tried again, of those that retry.sql would choose
-- without ids and with reason $2: their tokens expired or were used.
-- Index: deliveries_ended_idx, and the primary keys.
SELECT count(*)
  FROM deliveries d
  JOIN tokens t ON t.id = d.token
 WHERE d.queue = $1::text::job_type AND d.state = 'failed'
   AND CASE WHEN $2::text IS NULL THEN coalesce(d.error, '') NOT LIKE 'dropped by %'
            ELSE starts_with(coalesce(d.error, ''), $2) END
   AND (to_timestamp(t.expires_at) <= now() OR t.consumed_at IS NOT NULL)
