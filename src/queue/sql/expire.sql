-- mailroom:expire
-- Ends deliveries of queue $1 whose time was over while they waited, at most $2 rows, and says of each
-- whether it was late: what was not to be sent did not wait for us. None is ever due
-- later than it expires, so only due rows need a look.
-- Why ids are compared so: turn.sql.
-- Index: deliveries_claim_idx, and the primary key of tokens.
WITH late AS MATERIALIZED (
    SELECT d.id
      FROM deliveries d
      LEFT JOIN tokens t ON t.id = ANY (ARRAY[d.id])
     WHERE d.queue = $1::text::job_type AND d.state = 'pending' AND d.due_at <= now()
       AND least(d.expires_at, to_timestamp(t.expires_at)) <= now()
     LIMIT $2::bigint
       FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries d
   SET state = 'expired', due_at = now(), cause = coalesce(d.cause, 'expired'),
       error = coalesce(d.error, 'its time was over')
  FROM late
 WHERE d.id = ANY (ARRAY[late.id])
RETURNING d.cause NOT IN ('ineligible', 'limited') AS late
