-- mailroom:claim
-- Takes up to $2 due deliveries of queue $1, if at least $3 can be had.
--   $4 text of the lease   $5 its length, seconds   $6 kinds that are held
--   $7 how long those wait, seconds                 $8 how many due rows to look at
--   $9 priorities, ascending                        $10 from when on each has rows (levels.sql)
--   $11 what can be carried: csv, mail or events
--
-- Index: deliveries_claim_idx (queue, priority, due_at, id) WHERE state = 'pending', from the floor
-- of each priority on. Rows below come with the next levels.
-- While the queue is paused there is nothing due.
-- A row that expired becomes expired. A row that is not eligible is looked at again after as long as
-- it has waited already, so it is never in front of the others for long; not if it was written since
-- this statement began, for then its account may have changed too, unseen here.
-- What is of an issue has its template, and data of it and of its subscriber. It ends here if that is
-- not confirmed any more, or the issue was cancelled.
-- OFFSET 0 keeps the order of the joins: where the statistics say that there is one token or account,
-- others that read all of them cost the same. The account is found within the token: beside it,
-- PostgreSQL would remember accounts that never come again.
-- Its commit is not waited for: a lease that a crash of the server forgets is a batch that may go
-- twice, as after any crash. What settles it is flushed, and what came before with it.
WITH due AS MATERIALIZED (
    SELECT d.*, row_number() OVER () AS place
      FROM unnest($9::text::smallint[], $10::text::timestamptz[]) AS level (priority, floor)
     CROSS JOIN LATERAL
           (SELECT id, kind, created_at, expires_at, recipient, locale, reply_to, data, issue,
                   subscriber, ctid AS version
              FROM deliveries
             WHERE queue = $1::text::job_type AND state = 'pending'
               AND priority = level.priority AND due_at BETWEEN level.floor AND now()
               AND (SELECT paused_at FROM jobs WHERE job_type = $1::text::job_type) IS NULL
             ORDER BY due_at, id
               FOR UPDATE SKIP LOCKED) d
     LIMIT $8::bigint
),
seen AS MATERIALIZED (
    SELECT due.id, due.version, due.place, due.created_at, due.kind,
           due.locale, CASE WHEN due.issue IS NULL THEN due.data ELSE i.data END::text AS data,
           k.number, coalesce(i.template, k.template, replace(k.kind, '.', '-')) AS template, i.list_id, i.unsubscribe, k.path, k.signs_code, k.sender,
           coalesce(due.reply_to, k.reply_to) AS reply_to,
           coalesce(due.recipient, t.email) AS recipient, t.login, t.secret, t.code,
           ends.at AS expires_at, coalesce(ends.at <= now(), false) AS expired,
           due.kind = ANY ($6::text[]) AS held,
           CASE WHEN due.issue IS NULL THEN NULL
                WHEN i.state IS NULL OR i.state = 'cancelled' THEN 'dropped'
                WHEN due.subscriber IS NOT NULL AND i.subscribed IS NOT TRUE THEN 'unsubscribed'
           END AS ended,
           CASE WHEN k.kind IS NULL THEN 'its kind is not in the table kinds'
                WHEN i.state = 'paused' THEN 'its issue is paused'
                WHEN k.path IS NOT NULL AND t.secret IS NULL
                     OR t.account IS NOT NULL AND t.status IS NULL
                THEN 'its token or account is not there, or may not be seen'
                WHEN t.consumed_at IS NOT NULL THEN 'its token was used'
                WHEN t.account IS NOT NULL AND k.account_status IS NOT NULL
                     AND (t.status = ANY (k.account_status)) IS NOT TRUE
                THEN 'its account is ' || t.status
           END AS waits,
           CASE $11::text
                WHEN 'csv' THEN k.number IS NULL OR t.secret IS NULL OR due.locale IS NOT NULL
                                OR due.data IS NOT NULL OR coalesce(due.reply_to, k.reply_to) IS NOT NULL
                                OR k.sender IS NOT NULL OR due.issue IS NOT NULL
                WHEN 'mail' THEN coalesce(due.recipient, t.email) IS NULL
                ELSE false
           END AS misfit
      FROM due
      LEFT JOIN LATERAL
           (SELECT account, secret, code, expires_at, consumed_at, email, login, status
              FROM tokens
              LEFT JOIN LATERAL
                   (SELECT email, login, status FROM accounts WHERE id = tokens.account OFFSET 0) a
                ON true
             WHERE tokens.id = due.id OFFSET 0) t ON true
      LEFT JOIN kinds k ON k.kind = due.kind
      LEFT JOIN LATERAL
           (SELECT issues.state, template, list_id, s.state = 'confirmed' AS subscribed,
                   coalesce(s.data, '{}') || coalesce(issues.data, '{}') AS data,
                   unsubscribe || translate(
                       encode(int8send(coalesce(s.id, 0)) || uuid_send(coalesce(s.secret, gen_random_uuid())),
                              'base64'), '+/', '-_') AS unsubscribe
              FROM issues
              JOIN lists USING (list)
              LEFT JOIN subscribers s ON s.id = due.subscriber
             WHERE issues.id = due.issue OFFSET 0) i
        ON due.issue IS NOT NULL
     CROSS JOIN LATERAL (SELECT least(due.expires_at, to_timestamp(t.expires_at)) AS at) ends
),
fit AS MATERIALIZED (
    SELECT * FROM seen
     WHERE NOT expired AND ended IS NULL AND NOT held AND waits IS NULL AND NOT misfit
     ORDER BY place
     LIMIT $2::bigint
),
claimed AS (
    UPDATE deliveries d
       SET state = 'leased', cause = NULL, lease = $4, due_at = now() + make_interval(secs => $5)
      FROM fit
     WHERE d.id = fit.id AND (SELECT count(*) FROM fit) >= $3::bigint
    RETURNING d.id, d.attempts, fit.place, fit.kind, fit.number, fit.template, fit.path,
              fit.signs_code, fit.sender, fit.reply_to, fit.recipient, fit.login, fit.secret,
              fit.code, fit.locale, fit.data, fit.list_id, fit.unsubscribe,
              extract(epoch FROM now() - fit.created_at)::float8 AS age
),
passed AS (
    UPDATE deliveries d
       SET state = CASE WHEN s.expired THEN 'expired'
                        WHEN s.ended IS NOT NULL THEN 'superseded'
                        ELSE 'pending' END::delivery_state,
           settled_at = CASE WHEN s.expired OR s.ended IS NOT NULL THEN now() END,
           cause = CASE WHEN s.expired THEN coalesce(d.cause, 'expired')
                        WHEN s.ended IS NOT NULL THEN s.ended::delivery_cause
                        WHEN s.held THEN 'template'
                        WHEN s.waits IS NOT NULL THEN 'ineligible'
                        ELSE 'format' END::delivery_cause,
           error = CASE WHEN s.expired THEN coalesce(d.error, 'its time was over')
                        WHEN s.ended = 'dropped' THEN 'its issue was cancelled'
                        WHEN s.ended IS NOT NULL THEN 'they left the list before it was sent'
                        WHEN s.held THEN 'its kind is held'
                        WHEN s.waits IS NOT NULL THEN s.waits
                        WHEN $11 = 'csv' THEN 'it does not fit CSV; MAILROOM_FORMAT=cloudevents has room'
                        ELSE 'it has no recipient: an event, for collect with MAILROOM_FORMAT=cloudevents'
                   END,
           due_at = CASE WHEN s.expired OR s.ended IS NOT NULL THEN d.due_at
                         ELSE least(s.expires_at, now() + CASE
                             WHEN s.held THEN make_interval(secs => $7)
                             ELSE greatest(interval '5 seconds', now() - s.created_at) END)
                    END
      FROM seen s
     WHERE d.id = s.id AND d.ctid = s.version
       AND (s.expired OR s.ended IS NOT NULL OR s.held OR s.waits IS NOT NULL OR s.misfit)
    -- What was not to be sent did not wait for us.
    RETURNING s.expired AND d.cause NOT IN ('ineligible', 'limited') AS late
)
SELECT (SELECT count(*) FROM passed) AS passed,
       (SELECT count(*) FROM passed WHERE late) AS expired,
       c.id, c.attempts, c.kind, c.number, c.template, c.path, c.signs_code, c.sender, c.reply_to,
       c.recipient, c.login, c.secret, c.code, c.locale, c.data, c.age, c.list_id, c.unsubscribe
  FROM (SELECT set_config('synchronous_commit', 'off', true)) AS one
  LEFT JOIN claimed c ON true
 ORDER BY c.place
