-- Takes over deliveries that a collector wrote into the pipe, named by the secrets in their
-- tokens ($1), under lease $2 for $3 seconds. What another sender holds, what is settled, and
-- what waits for its next try is left alone.
-- Index: the unique index on tokens.secret, and the primary key.
WITH mine AS MATERIALIZED (
    SELECT d.token, d.created_at, t.secret
      FROM tokens t
      JOIN deliveries d ON d.token = t.id
     WHERE t.secret = ANY ($1::bytea[])
       AND to_timestamp(t.expires_at) > now()
       AND t.consumed_at IS NULL
       AND (d.state = 'pending' AND d.due_at <= now()
            OR d.state = 'leased' AND (d.lease NOT LIKE 'send:%' OR d.due_at <= now()))
       FOR UPDATE OF d
)
UPDATE deliveries d
   SET state = 'leased', lease = $2, due_at = now() + make_interval(secs => $3)
  FROM mine
 WHERE d.token = mine.token
RETURNING d.token, d.attempts, mine.secret,
          CASE WHEN isfinite(mine.created_at) THEN extract(epoch FROM now() - mine.created_at)
              END::float8 AS age
