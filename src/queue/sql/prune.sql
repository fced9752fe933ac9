-- mailroom:prune
-- Deletes deliveries of queue $1 that were settled $2 seconds ago or earlier, at most $3 rows.
-- Index: deliveries_state_idx.
DELETE FROM deliveries
 WHERE id = ANY (ARRAY(
    SELECT id
      FROM unnest(enum_range('sent'::delivery_state, NULL)) AS settled (state)
     CROSS JOIN LATERAL
           (SELECT id
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = settled.state AND state > 'pending'
               AND due_at <= now() - make_interval(secs => $2::float8)
             ORDER BY due_at
               FOR UPDATE SKIP LOCKED) AS old
     LIMIT $3::bigint))
RETURNING id
