-- mailroom:prune
-- Deletes deliveries of queue $1 that were settled $2 seconds ago or earlier, at most $3 rows.
-- Index: deliveries_settled_idx (queue, settled_at) WHERE state NOT IN ('pending', 'leased').
DELETE FROM deliveries
 WHERE id = ANY (ARRAY(
    SELECT id
      FROM deliveries
     WHERE state NOT IN ('pending', 'leased') AND queue = $1::text::job_type
       AND settled_at <= now() - make_interval(secs => $2::float8)
     ORDER BY settled_at
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED))
RETURNING id
