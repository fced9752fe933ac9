-- mailroom:adopt
-- Takes over deliveries that a collector wrote into the pipe, under lease $2 for $3 seconds. Arrays of
-- equal length name them: $1 the secret of the token, $6 the id where there is no token, $4 where it is to
-- go. A row for each, in their order; of two that name one delivery the first gets it.
--   $5 whether to leave rows alone, too, that others have locked
-- Why ids are compared so: turn.sql.
-- Index: the unique index on tokens.secret, and the primary keys.
WITH asked AS MATERIALIZED (
    SELECT id FROM tokens WHERE secret = ANY ($1::bytea[])
     UNION ALL
    SELECT id FROM unnest($6::bigint[]) AS given (id)
     WHERE NOT EXISTS (SELECT FROM tokens WHERE id = given.id OFFSET 0)
),
unlocked AS MATERIALIZED (
    SELECT id
      FROM deliveries
     WHERE $5::bool AND id = ANY (ARRAY(SELECT id FROM asked))
       FOR UPDATE SKIP LOCKED
),
named AS MATERIALIZED (
    SELECT d.id, d.created_at, spot.place,
           d.state = 'sent' AND d.provider_id IS NULL AS unsent,
           coalesce(least(d.expires_at, to_timestamp(t.expires_at)) > now(), true)
           AND t.consumed_at IS NULL
           AND (d.state = 'leased' AND d.lease = $2
                OR coalesce(d.recipient, a.email) = ($4::text[])[spot.place]
                   AND (d.state = 'leased' AND d.lease LIKE 'collect:%' AND d.due_at > now()
                        OR d.state IN ('pending', 'leased') AND d.due_at <= now() AND d.issue IS NULL
                           AND (t.account IS NULL OR a.status = ANY (k.account_status))
                           AND j.paused_at IS NULL)) AS free
      FROM deliveries d
      LEFT JOIN tokens t ON t.id = ANY (ARRAY[d.id])
      LEFT JOIN accounts a ON a.id = ANY (ARRAY[t.account])
      LEFT JOIN kinds k ON k.kind = d.kind
      LEFT JOIN jobs j ON j.job_type = d.queue
     CROSS JOIN LATERAL
           (SELECT CASE WHEN t.id IS NULL THEN array_position($6::bigint[], d.id)
                        ELSE array_position($1::bytea[], t.secret) END AS place) AS spot
     WHERE d.id = ANY (ARRAY(SELECT id FROM asked))
       AND (NOT $5 OR d.id = ANY (ARRAY(SELECT id FROM unlocked)))
       FOR UPDATE OF d
),
taken AS (
    UPDATE deliveries d
       SET state = 'leased', cause = NULL, lease = $2::text, due_at = now() + make_interval(secs => $3::float8)
      FROM named
     WHERE d.id = ANY (ARRAY[named.id]) AND named.free
    RETURNING d.id, d.attempts
)
SELECT taken.id, taken.attempts, extract(epoch FROM now() - named.created_at)::float8 AS age,
       coalesce(named.unsent, false) AS unsent
  FROM generate_subscripts($4, 1) AS place
  LEFT JOIN named USING (place)
  LEFT JOIN taken ON taken.id = named.id
 ORDER BY place
