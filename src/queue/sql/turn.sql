-- mailroom:turn
-- Writes down what became of deliveries, then takes the next ones: one round trip and one flush a
-- batch. Either may be nothing.
--
-- Takes up to $2 due deliveries of queue $1, if at least $3 can be had.
--   $4 text of the lease   $5 its length, seconds   $6 kinds that are held
--   $7 how long those wait, seconds                 $8 how many due rows to look at; 0: take none
--   $9 priorities, ascending                        $10 from when on each has rows (levels.sql),
--                                                   or `reached` of the full batch before
--   $11 what can be carried: csv, mail or events   $21 the priority from which on all wait, if any does
-- What became of deliveries: arrays of equal length, by ascending id.
--   $12 id  $13 lease  $14 new state  $15 cause, or nothing  $16 provider's id or reason
--   $17 delay, seconds  $18 whether an attempt was used
--   $19 whether this was tried before, and no answer came
--   $20 whether to pass over rows that others have locked, and tell which
--   $22 bytes of data after which no more is taken
--
-- The first row tells what was done: the rows after it are what was taken, in order: what is
-- MATERIALIZED is read as it was written.
--
-- Only the holder of a lease may write, except that a success always counts. What was tried before may
-- have been written then: what stands as it should counts as written. Somebody else's claim may hold locks
-- on rows that it then does not take, for as long as it runs.
--
-- What was sent is tallied by the minute, in a row that few other connections write to, and that is written
-- in one second alone: beside a long transaction each update passes over what those before it left. fold.sql
-- adds up.
--
-- A plan is made once, and the table may be small then and large soon after. Reading a small one whole
-- costs the same as one look by the primary key, and would be chosen where `d.id = o.id` gives the order of
-- ids a use; `= ANY (ARRAY[o.id])` finds the same rows and leaves the look as the only way.
--
-- Those that are due are found by deliveries_claim_idx, from the floor of each priority on. Rows below
-- come with the next levels. While the queue is paused there is nothing due. OFFSET 0 keeps the order of
-- the joins: where the statistics say that there is one token or account, others that read all of them
-- cost the same. The account is found within the token: beside it, PostgreSQL would remember accounts
-- that never come again.
--
-- A row that expired becomes expired. A row that is not eligible is looked at again after as long as it
-- has waited already, so it is never in front of the others for long; not if it was written since the
-- statement began, for then its account may have changed too, unseen here. Why a kind is held is said by
-- the mail that was tried; those behind it say nothing. What is of an issue has its template, and data of
-- it and of its subscriber. It ends here if that is not confirmed any more, or the issue was cancelled.
--
-- Each step writes what it hands on, so what is to be claimed is chosen by few columns. A row that is
-- locked is written by its place (ctid): nobody can move it meanwhile.
--
-- The commit of what takes alone is not waited for: a lease that a crash of the server forgets is a batch
-- that may go twice, as after any crash. What settles it is flushed, and what came before with it.
WITH free AS MATERIALIZED (
    SELECT id FROM deliveries WHERE $20::bool AND id = ANY ($12::bigint[])
       FOR UPDATE SKIP LOCKED
),
done AS (
    UPDATE deliveries d
       SET state = o.state::delivery_state,
           cause = nullif(o.cause, '')::delivery_cause,
           attempts = least(d.attempts::bigint + o.counts::int, 2147483647)::int,
           lease = NULL,
           due_at = CASE WHEN o.state = 'pending'
                         THEN greatest(now(), least(now() + make_interval(secs => o.delay),
                                  d.expires_at - interval '1 second',
                                  (SELECT to_timestamp(expires_at) - interval '1 second'
                                     FROM tokens WHERE id = d.id)))
                         ELSE now() END,
           provider_id = CASE WHEN o.state = 'sent' THEN nullif(o.text, '') ELSE d.provider_id END,
           error = CASE WHEN o.state = 'sent' THEN NULL ELSE nullif(o.text, '') END
      FROM unnest($12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[],
                  $17::float8[], $18::bool[])
           AS o (id, lease, state, cause, text, delay, counts)
     WHERE d.id = ANY (ARRAY[o.id])
       AND (d.state = 'leased' AND d.lease = o.lease OR o.state = 'sent' AND d.state <> 'sent')
       AND (NOT $20 OR d.id = ANY (ARRAY(SELECT id FROM free)))
    RETURNING d.id, d.queue, d.state, d.issue
),
tallied AS (
    INSERT INTO tallies AS t (queue, minute, writer, sent, issue)
    SELECT queue, date_trunc('minute', now()),
           pg_backend_pid() % 8 * 60 + extract(epoch FROM now())::bigint % 60, count(*), coalesce(issue, 0)
      FROM done
     WHERE state = 'sent'
     GROUP BY queue, issue
    ON CONFLICT (queue, minute, writer, issue) DO UPDATE SET sent = t.sent + excluded.sent
),
-- Columns that are read again and again come first. Not before what is known of it is written: `done` is
-- read here.
seen AS MATERIALIZED (
    SELECT due.id, due.version, due.priority, due.due_at,
           coalesce(ends.at <= now(), false) AS expired,
           due.kind = ANY ($6::text[]) AS held,
           CASE $11::text
                WHEN 'csv' THEN k.number IS NULL OR t.secret IS NULL OR due.locale IS NOT NULL
                                OR due.data IS NOT NULL OR coalesce(due.reply_to, k.reply_to) IS NOT NULL
                                OR k.sender IS NOT NULL OR due.issue IS NOT NULL
                WHEN 'mail' THEN coalesce(due.recipient, t.email) IS NULL
                ELSE false
           END AS misfit,
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
           ends.at AS expires_at, due.created_at, due.attempts, due.kind, due.locale,
           CASE WHEN due.issue IS NULL THEN due.data ELSE i.data END::text AS data,
           k.number, coalesce(i.template, k.template, replace(k.kind, '.', '-')) AS template,
           i.list_id, i.unsubscribe, k.path, k.signs_code, k.sender,
           coalesce(due.reply_to, k.reply_to) AS reply_to,
           coalesce(due.recipient, t.email) AS recipient, t.login, t.secret, t.code
      FROM (SELECT ready.*
              FROM unnest($9::text::smallint[], $10::text::timestamptz[]) AS level (priority, floor)
             CROSS JOIN LATERAL
                   (SELECT id, priority, due_at, attempts, kind, created_at, expires_at, recipient, locale,
                           reply_to, data, issue, subscriber, ctid AS version
                      FROM deliveries
                     WHERE queue = $1::text::job_type AND state = 'pending'
                       AND priority = level.priority AND due_at BETWEEN level.floor AND now()
                       AND (SELECT paused_at FROM jobs WHERE job_type = $1::text::job_type) IS NULL
                       AND (SELECT count(*) FROM done) >= 0
                     ORDER BY due_at, id
                       FOR UPDATE SKIP LOCKED) ready
             WHERE level.priority < $21::smallint IS NOT FALSE
             LIMIT $8::bigint) due
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
             WHERE due.issue IS NOT NULL AND issues.id = due.issue OFFSET 0) i ON true
     CROSS JOIN LATERAL (SELECT least(due.expires_at, to_timestamp(t.expires_at)) AS at) ends
),
able AS MATERIALIZED (
    SELECT version, priority, due_at, coalesce(octet_length(data), 0) AS size
      FROM seen
     WHERE NOT expired AND ended IS NULL AND NOT held AND waits IS NULL AND NOT misfit
     LIMIT $2::bigint
),
fit AS MATERIALIZED (
    SELECT version, priority, due_at
      FROM (SELECT *, sum(size) OVER (ROWS UNBOUNDED PRECEDING) - size AS before FROM able) a
     WHERE before < $22::bigint AND (SELECT count(*) FROM able) >= $3::bigint
),
claimed AS (
    UPDATE deliveries
       SET state = 'leased', cause = NULL, lease = $4::text, due_at = now() + make_interval(secs => $5::float8)
     WHERE ctid = ANY (ARRAY(SELECT version FROM fit))
    RETURNING id
),
passed AS (
    UPDATE deliveries d
       SET state = CASE WHEN s.expired THEN 'expired'
                        WHEN s.ended IS NOT NULL THEN 'superseded'
                        ELSE 'pending' END::delivery_state,
           cause = CASE WHEN s.expired THEN coalesce(d.cause, 'expired')
                        WHEN s.ended IS NOT NULL THEN s.ended::delivery_cause
                        WHEN s.held THEN 'template'
                        WHEN s.waits IS NOT NULL THEN 'ineligible'
                        ELSE 'format' END::delivery_cause,
           error = CASE WHEN s.expired THEN coalesce(d.error, 'its time was over')
                        WHEN s.ended = 'dropped' THEN 'its issue was cancelled'
                        WHEN s.ended IS NOT NULL THEN 'they left the list before it was sent'
                        WHEN s.held THEN CASE d.cause WHEN 'template' THEN d.error END
                        WHEN s.waits IS NOT NULL THEN s.waits
                        WHEN $11 = 'csv' THEN 'it does not fit CSV; MAILROOM_FORMAT=cloudevents has room'
                        ELSE 'it has no recipient: an event, for collect with MAILROOM_FORMAT=cloudevents'
                   END,
           due_at = CASE WHEN s.expired OR s.ended IS NOT NULL THEN now()
                         ELSE least(s.expires_at, now() + CASE
                             WHEN s.held THEN make_interval(secs => $7::float8)
                             ELSE greatest(interval '5 seconds', now() - s.created_at) END)
                    END
      FROM seen s
     WHERE d.id = s.id AND d.ctid = s.version
       AND (s.expired OR s.ended IS NOT NULL OR s.held OR s.waits IS NOT NULL OR s.misfit)
    -- What was not to be sent did not wait for us.
    RETURNING s.expired AND d.cause NOT IN ('ineligible', 'limited') AS late
),
written AS (
    SELECT id FROM done
     UNION ALL
    SELECT d.id
      FROM unnest($12::bigint[], $14::text[], $15::text[], $16::text[]) AS o (id, state, cause, text)
      JOIN deliveries d ON d.id = ANY (ARRAY[o.id])
     WHERE $19::bool AND d.lease IS NULL AND d.state = o.state::delivery_state
       AND d.cause IS NOT DISTINCT FROM nullif(o.cause, '')::delivery_cause
       AND (o.state <> 'sent' OR d.provider_id IS NOT DISTINCT FROM nullif(o.text, ''))
),
told AS (
    SELECT count(*) AS passed, count(*) FILTER (WHERE late) AS expired,
           ARRAY(SELECT id FROM written) AS written,
           ARRAY(SELECT id
                   FROM deliveries
                  WHERE $20 AND id = ANY ($12) AND id <> ALL (ARRAY(SELECT id FROM free))) AS locked,
           -- Where the next claim may begin: in the priority that filled this one, where it ended. In those
           -- before it nothing is left, and what commits late is next.
           ARRAY(SELECT CASE WHEN level.priority = (SELECT max(priority) FROM fit)
                             THEN (SELECT max(due_at) FROM fit WHERE fit.priority = level.priority)
                             ELSE level.floor END
                   FROM unnest($9::text::smallint[], $10::text::timestamptz[])
                        AS level (priority, floor))::text AS reached
      FROM passed
    HAVING cardinality($12) > 0 OR set_config('synchronous_commit', 'off', true) = 'off'
)
SELECT *, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM told
 UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, id, attempts, kind, number, template, path, signs_code, sender,
       reply_to, recipient, login, secret, code, locale, data, list_id, unsubscribe,
       extract(epoch FROM now() - created_at)::float8
  FROM seen
 WHERE id = ANY (ARRAY(SELECT id FROM claimed))
