-- Takes up to $2 due deliveries of queue $1, if at least $3 can be had.
--   $4 text of the lease   $5 its length, seconds   $6 actions that are held
--   $7 how long those wait, seconds                 $8 how many due rows to look at
--   $9 priorities, ascending                        $10 from when on each has rows (levels.sql)
--
-- Index: deliveries_claim_idx (queue, priority, due_at, token) WHERE state = 'pending', from the
-- floor of each priority on. Rows below come with the next levels.
-- While the queue is paused there is nothing due.
-- A row whose token expired becomes expired. A row that is not eligible is looked at again after
-- as long as it has waited already, so it is never in front of the others for long; not if it was
-- written since this statement began, for then its account may have changed too, unseen here.
-- OFFSET 0 keeps the order of the joins: where the statistics say that there is one token or account,
-- others that read all of them cost the same. The account is found within the token: beside it,
-- PostgreSQL would remember accounts that never come again.
WITH due AS MATERIALIZED (
    SELECT d.token, d.created_at, d.version,
           row_number() OVER () AS place
      FROM unnest($9::text::smallint[], $10::text::timestamptz[]) AS level (priority, floor)
     CROSS JOIN LATERAL
           (SELECT token, created_at, ctid AS version
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = 'pending'
               AND priority = level.priority AND due_at BETWEEN level.floor AND now()
               AND (SELECT paused_at FROM jobs WHERE job_type = $1::text::job_type) IS NULL
             ORDER BY due_at, token
               FOR UPDATE SKIP LOCKED) d
     LIMIT $8::bigint
),
seen AS MATERIALIZED (
    SELECT due.token, due.version, due.place, due.created_at, t.expires_at,
           k.number, k.path, k.signs_code, t.email, t.login, t.secret, t.code,
           to_timestamp(t.expires_at) <= now() AS expired,
           coalesce(k.number = ANY ($6::smallint[]), false) AS held,
           CASE WHEN t.secret IS NULL THEN 'its token or account is not there, or may not be seen'
                WHEN k.number IS NULL THEN 'its action is not in the table actions'
                WHEN t.consumed_at IS NOT NULL THEN 'its token was used'
                WHEN (t.status = ANY (k.account_status)) IS NOT TRUE THEN 'its account is ' || t.status
           END AS waits
      FROM due
      LEFT JOIN LATERAL
           (SELECT action, secret, code, expires_at, consumed_at, email, login, status
              FROM tokens
             CROSS JOIN LATERAL
                   (SELECT email, login, status FROM accounts WHERE id = tokens.account OFFSET 0) a
             WHERE tokens.id = due.token OFFSET 0) t ON true
      LEFT JOIN actions k ON k.action = t.action
),
fit AS MATERIALIZED (
    SELECT * FROM seen
     WHERE NOT expired AND NOT held AND waits IS NULL
     ORDER BY place
     LIMIT $2::bigint
),
claimed AS (
    UPDATE deliveries d
       SET state = 'leased', lease = $4, due_at = now() + make_interval(secs => $5)
      FROM fit
     WHERE d.token = fit.token AND (SELECT count(*) FROM fit) >= $3::bigint
    RETURNING d.token, d.attempts, fit.place, fit.number, fit.path, fit.signs_code, fit.email,
              fit.login, fit.secret, fit.code,
              CASE WHEN isfinite(fit.created_at) THEN extract(epoch FROM now() - fit.created_at)
                  END::float8 AS age
),
passed AS (
    UPDATE deliveries d
       SET state = CASE WHEN s.expired THEN 'expired' ELSE 'pending' END::delivery_state,
           settled_at = CASE WHEN s.expired THEN now() END,
           error = CASE WHEN s.expired THEN coalesce(d.error, 'its token expired')
                        WHEN s.held THEN 'held: its action is held'
                        ELSE 'waits: ' || s.waits END,
           due_at = CASE WHEN s.expired THEN d.due_at
                         ELSE least(to_timestamp(s.expires_at), now() + CASE
                             WHEN s.held THEN make_interval(secs => $7)
                             ELSE greatest(interval '5 seconds', CASE WHEN isfinite(s.created_at)
                                 THEN now() - s.created_at END) END)
                    END
      FROM seen s
     WHERE d.token = s.token AND d.ctid = s.version
       AND (s.expired OR s.held OR s.waits IS NOT NULL)
    RETURNING s.expired
)
SELECT (SELECT count(*) FROM passed) AS passed,
       (SELECT count(*) FROM passed WHERE expired) AS expired,
       c.token, c.attempts, c.number, c.path, c.signs_code, c.email, c.login, c.secret, c.code, c.age
  FROM (SELECT 1) AS one
  LEFT JOIN claimed c ON true
 ORDER BY c.place
