-- mailroom:rescue
-- Puts back deliveries of queue $1 whose lease ran out, or, if $6 is the text of a lease, those that
-- have this one; with $2 also lets those that were held (for one of the causes $5) be tried now. At
-- most $3 rows of each, and none of $4. Tells who had the lease: the first word of its text. The commit
-- is not waited for: what a crash of the server forgets is put back again.
-- Why ids are compared so: turn.sql.
-- Indexes: deliveries_state_idx (queue, state, due_at) WHERE state > 'pending', deliveries_claim_idx.
WITH lapsed AS MATERIALIZED (
    SELECT id, split_part(lease, ':', 1) AS holder
      FROM deliveries
     WHERE queue = $1::text::job_type AND state = 'leased'
       AND due_at <= CASE WHEN $6::text = '' THEN now() ELSE 'infinity' END AND $6 IN ('', lease)
       AND id <> ALL ($4::bigint[])
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED
),
held AS MATERIALIZED (
    SELECT id, NULL::text AS holder
      FROM deliveries
     WHERE $2::bool AND queue = $1::text::job_type AND state = 'pending' AND due_at > now()
       AND cause = ANY ($5::text[]::delivery_cause[])
     LIMIT $3::bigint
       FOR UPDATE SKIP LOCKED
)
UPDATE deliveries d
   SET state = 'pending', lease = NULL, due_at = now()
  FROM (SELECT id, holder FROM lapsed UNION ALL SELECT id, holder FROM held) AS put_back
 WHERE d.id = ANY (ARRAY[put_back.id])
RETURNING put_back.holder, set_config('synchronous_commit', 'off', true)
