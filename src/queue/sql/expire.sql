-- Ends deliveries of queue $1 whose token expired while they waited, at most $2 rows. None is
-- ever due later than its token expires, so only due rows need a look.
-- Index: deliveries_claim_idx or deliveries_wake_idx, and one of tokens that begins with id.
WITH late AS MATERIALIZED (
    SELECT d.token
      FROM deliveries d
      JOIN tokens t ON t.id = d.token
     WHERE d.queue = $1::text::job_type AND d.state = 'pending' AND d.due_at <= now()
       AND to_timestamp(t.expires_at) <= now()
     LIMIT $2::bigint
       FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries d
   SET state = 'expired', settled_at = now(), error = coalesce(d.error, 'its token expired')
  FROM late
 WHERE d.token = late.token
RETURNING d.token
