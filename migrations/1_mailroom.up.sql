-- One row for each mail, with its state; kinds of mail as data; any mail by one call. Moments beyond
-- 2038, secrets and codes from a cryptographic source without an extension, activation tokens that
-- survive ON CONFLICT and a suspension. The cursor jobs.last_seq decides nothing any more: ids are
-- handed out in one order and commit in another.
--
-- FROM CURRENT pins the search path that is set here: the schema of the installation, then temporary
-- objects last, so that a caller's own path or temporary table cannot take the place of a table of
-- ours. Functions that write have the owner's rights: a role that may add an account, or call
-- send_mail, needs no others.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- No token may be added meanwhile.
LOCK TABLE accounts, tokens IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER before_account_insert ON accounts;
DROP TRIGGER after_token_inserted ON tokens;
-- A column's type cannot change while a trigger's condition names it.
DROP TRIGGER after_token_consumed ON tokens;
DROP FUNCTION trg_before_account_insert();
DROP FUNCTION trg_after_token_inserted();
DROP FUNCTION trg_after_token_consumed();

-- The primary keys begin with the same column, and find as much.
DROP INDEX accounts_id_status_idx;
DROP INDEX tokens_id_expires_consumed_action_idx;
DROP INDEX jobs_last_seq_type_idx;

ALTER TABLE accounts
    ALTER COLUMN created_at        DROP DEFAULT,
    ALTER COLUMN created_at        TYPE bigint,
    ALTER COLUMN created_at        SET DEFAULT extract(epoch FROM now())::bigint,
    ALTER COLUMN status_changed_at TYPE bigint,
    ALTER COLUMN activated_at      TYPE bigint,
    ALTER COLUMN suspended_at      TYPE bigint,
    ALTER COLUMN unsuspended_at    TYPE bigint;

-- A secret is 256 bits made of 366 random ones; a code is 60 random bits modulo 100000, whose
-- bias is below one in 10^13.
ALTER TABLE tokens
    ALTER COLUMN secret      SET DEFAULT sha256(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    ),
    ALTER COLUMN code        SET DEFAULT lpad(
        (('x' || left(encode(sha256(uuid_send(gen_random_uuid())), 'hex'), 15))::bit(60)::bigint
            % 100000)::text,
        5, '0'
    ),
    ALTER COLUMN expires_at  DROP DEFAULT,
    ALTER COLUMN expires_at  TYPE bigint,
    ALTER COLUMN expires_at  SET DEFAULT extract(epoch FROM now() + interval '15 minutes')::bigint,
    ALTER COLUMN consumed_at TYPE bigint,
    ALTER COLUMN created_at  DROP DEFAULT,
    ALTER COLUMN created_at  TYPE bigint,
    ALTER COLUMN created_at  SET DEFAULT extract(epoch FROM now())::bigint,
    -- A token of an account has an action. One that send_mail makes has a kind, and names whom it is
    -- about in the application's own words.
    ALTER COLUMN action      DROP NOT NULL,
    ALTER COLUMN account     DROP NOT NULL,
    ADD COLUMN kind          text,
    ADD COLUMN subject       text,
    ADD CONSTRAINT tokens_kind_check
        CHECK (action IS NULL AND account IS NULL AND kind IS NOT NULL
            OR action IS NOT NULL AND account IS NOT NULL AND kind IS NULL AND subject IS NULL),
    -- Up to the year 9999: milliseconds by mistake, or a number that is no timestamp, end here
    -- and not in a claim.
    ADD CONSTRAINT tokens_expires_at_check
        CHECK (expires_at BETWEEN -2147483648 AND 253402300799);

CREATE INDEX tokens_subject_idx ON tokens (subject) WHERE subject IS NOT NULL;

-- Nothing is claimed while paused_at is set.
ALTER TABLE jobs
    ADD COLUMN paused_at     timestamptz,
    ADD COLUMN paused_reason text,
    ADD CONSTRAINT jobs_paused_check CHECK (paused_at IS NOT NULL OR paused_reason IS NULL);

-- Whether a mail can be addressed so; the program looks closer.
CREATE FUNCTION is_address(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT $1 ~ '^[^[:cntrl:][:space:]@,;"<>]+@[^[:cntrl:][:space:]@,;"<>]+$' AND octet_length($1) <= 320
$$;
-- A CHECK calls it with the rights of whoever writes the row; not everywhere may all call what is new.
GRANT EXECUTE ON FUNCTION is_address(text) TO PUBLIC;

-- A new kind of mail is a row here, and a template.
CREATE TABLE kinds (
    kind           text             PRIMARY KEY CHECK (kind ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    -- On the wire of CSV; a kind without one does not fit it.
    number         smallint         UNIQUE CHECK (number > 0),
    -- The provider's name of the template; NULL: that of the kind, with - for each dot.
    template       text             CHECK (template ~ '^[A-Za-z0-9_-]{1,64}$'),
    -- Signed before the secret; NULL: a mail of this kind carries no token.
    path           text             CHECK (path <> ''),
    signs_code     boolean          NOT NULL DEFAULT false,
    -- How long a token lives that send_mail makes.
    lifetime       interval         NOT NULL DEFAULT '15 minutes'
        CHECK (lifetime BETWEEN interval '1 second' AND interval '10 years'),
    -- The statuses an account may have to be sent this.
    account_status account_status[] CHECK (cardinality(account_status) > 0),
    -- The lowest goes first.
    priority       smallint         NOT NULL DEFAULT 50,
    queue          job_type         NOT NULL DEFAULT 'mailroom',
    -- In place of MAILROOM_SES_SOURCE.
    sender         text             CHECK (sender <> ''),
    reply_to       text             CHECK (is_address(reply_to)),
    -- To one address: so long between two mails, and so many in an hour.
    cooldown       interval         CHECK (cooldown BETWEEN interval '1 second' AND interval '1 day'),
    hourly         integer          CHECK (hourly > 0)
);

INSERT INTO kinds
    (kind, number, template, path, signs_code, account_status, priority, cooldown, hourly)
VALUES
    ('activation',        1, 'activationv1',       '/activate', false, '{provisioned}', 20, NULL, NULL),
    ('password_recovery', 2, 'passwordrecoveryv1', '/recover',  true,  '{active}',      10, '30 s', 5);

CREATE TYPE delivery_state AS ENUM
    ('pending', 'leased', 'sent', 'failed', 'expired', 'superseded');

-- Why a delivery waits, or how it ended.
CREATE TYPE delivery_cause AS ENUM (
    'throttled', 'away', 'gateway', 'unknown', 'fault', 'busy', 'rejected',
    'account', 'credentials', 'quota', 'sender', 'setup', 'template', 'output',
    'unsigned', 'ineligible', 'expired', 'dropped', 'superseded', 'limited', 'format', 'stopped',
    'unsubscribed'
);

-- Types, for each statement that writes a row reads the CHECKs of its table from their text.
CREATE DOMAIN moment AS timestamptz CHECK (isfinite(VALUE));
CREATE DOMAIN tries AS integer CHECK (VALUE >= 0);

-- A delivery of a token has the token's id, any other one the next of the same sequence. Rows change
-- often and the table stays small: a vacuum after so many changes, not after a share of the table.
CREATE TABLE deliveries (
    id          bigint         PRIMARY KEY DEFAULT nextval('tokens_id_seq'),
    queue       job_type       NOT NULL DEFAULT 'mailroom',
    kind        text           NOT NULL,
    priority    smallint       NOT NULL DEFAULT 50,
    state       delivery_state NOT NULL DEFAULT 'pending',
    cause       delivery_cause,
    attempts    tries          NOT NULL DEFAULT 0,
    -- pending: not before this moment; leased: the lease runs out then; settled: when that was.
    due_at      moment         NOT NULL DEFAULT now(),
    -- Not sent after this moment, nor after its token has expired.
    expires_at  moment,
    created_at  moment         NOT NULL DEFAULT now(),
    -- Names the claim that holds the row.
    lease       text,
    provider_id text,
    -- What was said, for people.
    error       text,
    -- NULL: the address of the token's account, or nobody: an event.
    recipient   text,
    locale      text,
    reply_to    text,
    data        jsonb,
    -- The same key in a queue is the same delivery.
    key         text,
    -- The address in lower case, where its kind limits how many mails one may get.
    limit_key   text,
    -- Of a list: what is sent, and to whom; a test copy may be to nobody of the list.
    issue       bigint,
    subscriber  bigint
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 1000
);

-- What may be claimed, in the order of claims.
CREATE INDEX deliveries_claim_idx ON deliveries (queue, priority, due_at, id)
    WHERE state = 'pending';
-- Leases that run out, what may be pruned, what was not sent.
CREATE INDEX deliveries_state_idx ON deliveries (queue, state, due_at)
    WHERE state > 'pending';
CREATE UNIQUE INDEX deliveries_key_idx ON deliveries (queue, key)
    WHERE key IS NOT NULL;
CREATE INDEX deliveries_limit_idx ON deliveries (limit_key, kind)
    WHERE limit_key IS NOT NULL;
-- What waits of an issue: never much at a time.
CREATE INDEX deliveries_issue_idx ON deliveries (issue)
    WHERE issue IS NOT NULL AND state <= 'leased';

-- How many deliveries were sent in each minute; the minute '-infinity' holds all earlier ones.
-- Each collector has rows of its own in each second, which are added up later: so none waits for another,
-- or passes over many old versions of a row. Sent rows are too many to count, and are removed some day, or
-- at once.
CREATE TABLE tallies (
    queue  job_type    NOT NULL,
    minute timestamptz NOT NULL,
    writer smallint    NOT NULL,
    sent   bigint      NOT NULL,
    -- 0: not of a list.
    issue  bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, minute, writer, issue)
);

-- A list of subscribers. Its issues are mails of the kind that has its name, and the mail that asks
-- whether an address was meant is of the kind NAME.confirm: a trigger makes both.
CREATE TABLE lists (
    list        text PRIMARY KEY CHECK (list ~ '^[a-z0-9][a-z0-9_-]{0,54}$'),
    -- What List-Id says (RFC 2919); by default the name before the host of the link.
    list_id     text NOT NULL CHECK (list_id ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)+$'
        AND length(list_id) <= 255),
    -- A subscriber's token is put at its end: https://example.com/unsubscribe?token=
    unsubscribe text NOT NULL CHECK (unsubscribe ~ '^https://[A-Za-z0-9.-]+(:[0-9]+)?/[!-;=?-~]*$'
        AND length(unsubscribe) <= 500)
);

CREATE TYPE subscriber_state AS ENUM ('pending', 'confirmed', 'unsubscribed', 'suppressed');

CREATE TABLE subscribers (
    id           bigint           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    list         text             NOT NULL REFERENCES lists,
    address      text             NOT NULL CHECK (is_address(address)),
    state        subscriber_state NOT NULL DEFAULT 'pending',
    -- Whom it is about, in the application's words.
    subject      text             CHECK (length(subject) BETWEEN 1 AND 200),
    data         jsonb            CHECK (jsonb_typeof(data) = 'object'
        AND octet_length(data::text) <= 65536
        AND NOT data ?| '{login,secret,code,unsubscribe}'),
    locale       text
        CHECK (locale ~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}$'),
    created_at   timestamptz      NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    -- When its state changed, and what did that: subscribe, confirm, unsubscribe, import, or a word of
    -- yours.
    changed_at   timestamptz      NOT NULL DEFAULT now(),
    how          text             NOT NULL,
    -- The token in the link to unsubscribe is the id and this, 32 characters of base64url.
    secret       uuid             NOT NULL DEFAULT gen_random_uuid()
);

CREATE UNIQUE INDEX subscribers_address_idx ON subscribers (list, lower(address));
-- To whom an issue goes, in the order of its cursor.
CREATE INDEX subscribers_confirmed_idx ON subscribers (list, id) WHERE state = 'confirmed';

CREATE TYPE issue_state AS ENUM ('publishing', 'paused', 'cancelled', 'published');

-- An issue goes to those who are confirmed when their turn comes, up to the last subscriber that there
-- was when it was published. Deliveries are made of it little by little, when nothing else is due;
-- the cursor moves in the same transaction.
CREATE TABLE issues (
    id           bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    key          text        NOT NULL UNIQUE CHECK (length(key) BETWEEN 1 AND 200),
    list         text        NOT NULL REFERENCES lists,
    template     text        NOT NULL CHECK (template ~ '^[A-Za-z0-9_-]{1,64}$'),
    data         jsonb       CHECK (jsonb_typeof(data) = 'object'
        AND octet_length(data::text) <= 65536
        AND NOT data ?| '{login,secret,code,unsubscribe}'),
    -- Only to those whose data has all of these values.
    filter       jsonb       CHECK (jsonb_typeof(filter) = 'object'),
    state        issue_state NOT NULL DEFAULT 'publishing',
    not_before   moment      NOT NULL DEFAULT now(),
    published_at timestamptz NOT NULL DEFAULT now(),
    -- Subscribers up to this id have their delivery; the last one is upto.
    cursor       bigint      NOT NULL DEFAULT 0,
    upto         bigint      NOT NULL,
    -- To how many it was to go when it was published, and how many deliveries were made.
    total        bigint      NOT NULL,
    enqueued     bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE INDEX issues_publishing_idx ON issues (not_before) WHERE state = 'publishing';

-- What an application may see of a mail. The account is read as a whole: a view that names a column
-- would keep its type as it is.
CREATE VIEW mails AS
SELECT d.id, d.kind,
    coalesce(
        d.recipient,
        (SELECT to_jsonb(a) ->> 'email' FROM accounts a WHERE a.id = t.account)
    ) AS recipient,
    t.subject, d.locale, d.key, d.state, d.cause, d.attempts, d.created_at, d.due_at, d.expires_at,
    CASE WHEN d.state > 'leased' THEN d.due_at END AS settled_at, d.provider_id
FROM deliveries d
LEFT JOIN tokens t USING (id);

-- Tokens beyond the cursor were not handed out yet.
INSERT INTO deliveries (id, kind, priority, state, cause, error)
SELECT
    t.id, t.action::text, coalesce(k.priority, 50),
    CASE WHEN past.use IS NULL THEN 'pending' ELSE 'expired' END::delivery_state,
    CASE WHEN past.use IS NOT NULL THEN 'expired' END::delivery_cause,
    past.use
FROM tokens t
LEFT JOIN kinds k ON k.kind = t.action::text
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN t.consumed_at IS NOT NULL THEN 'its token was used'
        WHEN t.expires_at <= extract(epoch FROM now()) THEN 'its token expired'
    END AS use
) past
WHERE t.id > coalesce((SELECT last_seq FROM jobs WHERE job_type = 'mailroom'), 0)
ORDER BY t.id;

-- Wakes whoever listens. A notification says nothing: it may be lost or forged, and one stands for
-- any number of rows. Its channel is ALTER DATABASE … SET mailroom.channel = '…', cut as LISTEN cuts
-- a name. With mailroom.notify = 'never' there is none.
CREATE FUNCTION notify_mailroom() RETURNS void LANGUAGE sql AS $$
    SELECT CASE WHEN current_setting('mailroom.notify', true) IS DISTINCT FROM 'never' THEN pg_notify(
        coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name::text,
        ''
    ) END
$$;

-- Wakes those who work a queue, if any of them sleeps: commits of transactions that notified go one
-- after the other, in the whole cluster. A sleeper holds the second lock, shared; a transaction that
-- did not notify holds the first one, shared, until it has ended, and nobody falls asleep before that.
-- Both are in memory, so the isolation level does not matter. Others try the second lock too, each for
-- a moment: so not just once. One notification does for a transaction. The setting that says so ends with
-- the transaction, and a rollback to a savepoint undoes both. Gives whether it notified.
CREATE FUNCTION wake_mailroom(queue job_type) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    key CONSTANT integer := hashenum(queue);
BEGIN
    IF current_setting('mailroom.notified', true) = 'yes' THEN
        RETURN false;
    END IF;
    IF pg_try_advisory_xact_lock_shared(1835100526, key) THEN
        FOR i IN 1..5 LOOP
            IF (CASE WHEN pg_try_advisory_lock(1835100527, key)
                     THEN pg_advisory_unlock(1835100527, key) END)
            THEN
                RETURN false;
            END IF;
        END LOOP;
    END IF;
    PERFORM notify_mailroom();
    PERFORM set_config('mailroom.notified', 'yes', true);
    RETURN true;
END;
$$;

-- Which of 1024 locks those take who send to an address of a limited kind: so few that a transaction
-- may hold all of them.
CREATE FUNCTION limit_lock(address text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtext(address) & 1023
$$;

-- From when on one more mail of a limited kind may go to an address. What waits for the same address
-- is superseded by it, and its link is dead: people get the one that works. Others who ask for the
-- same address wait until this transaction ends.
CREATE FUNCTION limit_mail(k kinds, address text) RETURNS timestamptz
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    free timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(1835100525, limit_lock(address));
    WITH superseded AS (
        UPDATE deliveries
        SET state = 'superseded', cause = 'superseded', error = 'a newer one took its place',
            due_at = now()
        WHERE limit_key = address AND kind = k.kind AND state = 'pending'
        RETURNING id
    )
    UPDATE tokens
    SET expires_at = floor(extract(epoch FROM now()))
    WHERE id IN (SELECT id FROM superseded) AND expires_at > extract(epoch FROM now());

    SELECT greatest(
        max(gone_at) + k.cooldown,
        (array_agg(gone_at ORDER BY gone_at DESC))[k.hourly] + interval '1 hour'
    )
    INTO free
    FROM (
        SELECT CASE state WHEN 'sent' THEN due_at ELSE now() END AS gone_at
        FROM deliveries
        WHERE limit_key = address AND kind = k.kind AND state IN ('leased', 'sent')
        ORDER BY gone_at DESC
        LIMIT coalesce(k.hourly, 1)
    ) gone;
    RETURN greatest(free, now());
END;
$$;

-- After the insert and once a statement: a row that ON CONFLICT skipped gets no token.
CREATE FUNCTION trg_after_account_insert() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO tokens (account, action)
    SELECT id, 'activation' FROM inserted WHERE status = 'provisioned' ORDER BY id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_account_insert
    AFTER INSERT ON accounts
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION trg_after_account_insert();

CREATE OR REPLACE FUNCTION trg_before_account_status_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    moment bigint := extract(epoch FROM now());
BEGIN
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    NEW.status_changed_at := moment;
    IF OLD.status = 'suspended' THEN
        NEW.suspended_at := NULL;
        NEW.unsuspended_at := moment;
        IF OLD.activated_at IS NULL THEN
            NEW.status := 'provisioned';
        END IF;
    ELSIF NEW.status = 'active' THEN
        NEW.activated_at := moment;
    END IF;
    IF NEW.status = 'suspended' THEN
        NEW.suspended_at := moment;
        NEW.unsuspended_at := NULL;
    END IF;
    RETURN NEW;
END;
$$;

-- What waited for this status is served now. All pending rows are written, also those that are due:
-- a claim that still sees the old status may be about to put them off. Whoever was suspended before
-- activating would otherwise be left with a dead link.
CREATE FUNCTION trg_after_account_status_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE deliveries d
    SET due_at = now(), cause = NULL
    FROM tokens t
    JOIN kinds k ON k.kind = t.action::text
    WHERE t.account = NEW.id AND d.id = t.id AND d.state = 'pending'
        AND d.cause IS DISTINCT FROM 'limited' AND NEW.status = ANY (k.account_status);
    IF FOUND THEN
        PERFORM notify_mailroom();
    END IF;
    IF OLD.status = 'suspended' AND NEW.status = 'provisioned' AND NOT EXISTS (
        SELECT FROM tokens
        WHERE account = NEW.id AND action = 'activation' AND consumed_at IS NULL
            AND expires_at > extract(epoch FROM now())
    ) THEN
        INSERT INTO tokens (account, action) VALUES (NEW.id, 'activation');
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_account_status_change
    AFTER UPDATE OF status ON accounts
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION trg_after_account_status_change();

-- Using a token makes the others of its kind void that the same person has, and an activation token
-- activates its account.
CREATE FUNCTION trg_after_token_consumed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    -- Rounded down: what is void is so at once.
    moment bigint := floor(extract(epoch FROM now()));
BEGIN
    IF NEW.account IS NOT NULL THEN
        UPDATE tokens
        SET expires_at = moment
        WHERE account = NEW.account AND action = NEW.action AND id <> NEW.id
            AND consumed_at IS NULL AND expires_at > moment;
    ELSE
        UPDATE tokens
        SET expires_at = moment
        WHERE subject = NEW.subject AND kind = NEW.kind AND id <> NEW.id
            AND consumed_at IS NULL AND expires_at > moment;
    END IF;
    IF NEW.action = 'activation' THEN
        UPDATE accounts SET status = 'active' WHERE id = NEW.account AND status = 'provisioned';
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_token_consumed
    AFTER UPDATE OF consumed_at ON tokens
    FOR EACH ROW WHEN (OLD.consumed_at IS NULL AND NEW.consumed_at IS NOT NULL)
    EXECUTE FUNCTION trg_after_token_consumed();

-- One delivery a token, and one notification a statement. What send_mail makes has its delivery
-- from there. A single token is by far the most frequent case, and costs half as much by itself.
CREATE FUNCTION trg_after_token_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    k     kinds;
    one   record;
    due   timestamptz;
    woken job_type;
BEGIN
    SELECT count(*), min(id) AS id, min(action)::text AS action INTO one
    FROM inserted WHERE action IS NOT NULL;
    IF one.count = 0 THEN
        RETURN NULL;
    END IF;
    SELECT * INTO k FROM kinds WHERE kind = one.action;
    IF one.count = 1 AND k.cooldown IS NULL AND k.hourly IS NULL THEN
        woken := coalesce(k.queue, 'mailroom');
        INSERT INTO deliveries (id, queue, kind, priority)
        VALUES (one.id, woken, one.action, coalesce(k.priority, 50));
        PERFORM wake_mailroom(woken);
        RETURN NULL;
    END IF;
    INSERT INTO deliveries (id, queue, kind, priority)
    SELECT i.id, coalesce(n.queue, 'mailroom'), i.action::text, coalesce(n.priority, 50)
    FROM inserted i
    LEFT JOIN kinds n ON n.kind = i.action::text
    WHERE i.action IS NOT NULL AND n.cooldown IS NULL AND n.hourly IS NULL
    ORDER BY i.id;
    FOR one IN
        SELECT i.id, n AS kind, lower(a.email) AS address
        FROM inserted i
        JOIN kinds n ON n.kind = i.action::text
        LEFT JOIN accounts a ON a.id = i.account
        WHERE n.cooldown IS NOT NULL OR n.hourly IS NOT NULL
        ORDER BY limit_lock(lower(a.email)), i.id
    LOOP
        -- The account may come later in the same transaction.
        due := CASE WHEN one.address IS NULL THEN now() ELSE limit_mail(one.kind, one.address) END;
        INSERT INTO deliveries (id, queue, kind, priority, due_at, cause, limit_key)
        VALUES (
            one.id, (one.kind).queue, (one.kind).kind, (one.kind).priority, due,
            CASE WHEN due > now() THEN 'limited'::delivery_cause END, one.address
        );
    END LOOP;
    FOR woken IN
        SELECT DISTINCT coalesce(n.queue, 'mailroom')
        FROM unnest(enum_range(NULL::token_action)) action
        LEFT JOIN kinds n ON n.kind = action::text
    LOOP
        PERFORM wake_mailroom(woken);
    END LOOP;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_token_inserted
    AFTER INSERT ON tokens
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION trg_after_token_inserted();

-- A delivery goes with its token.
CREATE FUNCTION trg_after_token_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    DELETE FROM deliveries d USING deleted WHERE d.id = deleted.id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_token_deleted
    AFTER DELETE ON tokens
    REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION trg_after_token_deleted();

-- A token that is used or expired goes with its delivery, once somebody enables this: then tokens grow no
-- longer than deliveries are kept.
CREATE FUNCTION trg_after_delivery_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    -- The tokens' own trigger deletes deliveries in turn.
    IF EXISTS (SELECT FROM deleted) THEN
        DELETE FROM tokens t USING deleted
        WHERE t.id = deleted.id
            AND (t.consumed_at IS NOT NULL OR t.expires_at <= extract(epoch FROM now()));
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_delivery_deleted
    AFTER DELETE ON deliveries
    REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION trg_after_delivery_deleted();

ALTER TABLE deliveries DISABLE TRIGGER after_delivery_deleted;

-- What waits for a row of kinds is served when that comes, not when it is looked at next. All pending
-- rows of the kind are written, also those that are due: a claim that does not see the new row yet may
-- be about to put them off.
CREATE FUNCTION trg_after_kind_fits() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE deliveries
    SET due_at = now(), cause = NULL
    WHERE kind = NEW.kind AND state = 'pending' AND cause IS DISTINCT FROM 'limited'
        AND (due_at <= now() OR cause IS NOT NULL);
    IF FOUND THEN
        PERFORM notify_mailroom();
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_kind_inserted
    AFTER INSERT ON kinds
    FOR EACH ROW EXECUTE FUNCTION trg_after_kind_fits();

CREATE TRIGGER after_kind_fits
    AFTER UPDATE OF account_status ON kinds
    FOR EACH ROW WHEN (OLD.account_status IS DISTINCT FROM NEW.account_status)
    EXECUTE FUNCTION trg_after_kind_fits();

-- One mail of a kind, in the caller's transaction: it goes if and only if that commits. Gives the
-- delivery's id. recipient NULL: an event for those who read `collect`. A key that is there already
-- gives the id of the delivery that has it. subject: whom the token is about, in the application's
-- words.
CREATE FUNCTION send_mail(
    kind       text,
    recipient  text,
    data       jsonb       DEFAULT NULL,
    locale     text        DEFAULT NULL,
    key        text        DEFAULT NULL,
    not_before timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL,
    subject    text        DEFAULT NULL,
    reply_to   text        DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    k       kinds;
    wrong   text;
    mail    bigint;
    due     timestamptz := coalesce(not_before, now());
    free    timestamptz;
    woken   boolean;
    looks   integer := 0;
BEGIN
    SELECT * INTO k FROM kinds WHERE kinds.kind = send_mail.kind;
    IF k.kind IS NULL THEN
        RAISE EXCEPTION 'there is no kind of mail %: a kind is a row of the table kinds',
            coalesce(quote_literal(kind), 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Each condition by itself: what a branch says costs nothing before it is entered.
    IF NOT is_address(recipient) THEN
        wrong := 'recipient is not an address: one local@domain, without a name or spaces, of at most 320 bytes';
    ELSIF recipient IS NULL AND k.path IS NOT NULL THEN
        wrong := format('the kind %s has a token, so it needs a recipient', k.kind);
    ELSIF jsonb_typeof(data) <> 'object' THEN
        wrong := 'data must be a JSON object, but is of type ' || jsonb_typeof(data);
    ELSIF octet_length(data::text) > 65536 THEN
        wrong := format('data has %s bytes, and may have 65536', octet_length(data::text));
    ELSIF data ?| '{login,secret,code}' THEN
        wrong := 'data must not have the names login, secret and code: mailroom fills them';
    ELSIF num_nonnulls(locale, key, not_before, expires_at, subject, reply_to) > 0 THEN
        wrong := CASE
            WHEN locale !~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}$' THEN
                'locale must be a language tag, such as de or pt-BR'
            WHEN key = '' OR length(key) > 200 THEN
                'key must have 1 to 200 characters'
            WHEN subject = '' OR length(subject) > 200 THEN
                'subject must have 1 to 200 characters'
            WHEN subject IS NOT NULL AND k.path IS NULL THEN
                format('the kind %s has no token, so it has no subject', k.kind)
            WHEN greatest(not_before, expires_at) >= '9989-01-01' THEN
                'not_before and expires_at must be moments before the year 9989'
            WHEN not_before < now() - interval '1 minute' THEN
                'not_before is in the past'
            WHEN expires_at <= due THEN
                'expires_at is not after the moment from which the mail may go'
            WHEN NOT is_address(reply_to) THEN
                'reply_to is not an address: one local@domain, without a name or spaces, of at most 320 bytes'
        END;
        -- Not in the CASE: a subquery in it slows down each call that comes there by a sixth.
        IF subject IS NOT NULL THEN
            -- confirm() believes it: whoever may send mails must not bring people to a list.
            wrong := coalesce(wrong, (
                SELECT format('the subject of the kind %s is for subscribe() to say', k.kind)
                FROM lists l
                WHERE l.list || '.confirm' = k.kind
            ));
        END IF;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;

    LOOP
        INSERT INTO deliveries AS d (
            queue, kind, priority, due_at, expires_at, recipient, locale, reply_to, data, key
        ) VALUES (
            k.queue, k.kind, k.priority, due, expires_at, recipient, locale,
            coalesce(reply_to, k.reply_to), data, key
        )
        ON CONFLICT (queue, key) WHERE key IS NOT NULL DO NOTHING
        RETURNING d.id INTO mail;
        EXIT WHEN FOUND;
        SELECT d.id INTO mail
        FROM deliveries d WHERE d.queue = k.queue AND d.key = send_mail.key;
        -- Neither made nor there: what had the key was removed in between. Not for ever, for a trigger of
        -- the application may refuse each row.
        looks := looks + 1;
        IF FOUND OR looks > 9 THEN
            RETURN mail;
        END IF;
    END LOOP;
    -- Only what is new takes the place of what waits, and it is not yet among that.
    IF k.cooldown IS NOT NULL OR k.hourly IS NOT NULL THEN
        free := limit_mail(k, lower(recipient));
        UPDATE deliveries d
        SET limit_key = lower(send_mail.recipient),
            due_at = least(greatest(due, free), send_mail.expires_at),
            cause = CASE WHEN free > due THEN 'limited'::delivery_cause END
        WHERE d.id = mail;
        due := greatest(due, free);
    END IF;
    IF k.path IS NOT NULL THEN
        INSERT INTO tokens (id, kind, subject, expires_at)
        VALUES (
            mail, k.kind, subject,
            extract(epoch FROM coalesce(expires_at, due + k.lifetime))::bigint
        );
    END IF;
    -- PERFORM would run a statement.
    woken := wake_mailroom(k.queue);
    RETURN mail;
END;
$$;

-- Many mails of one kind, in the caller's transaction: each array that is not NULL has one element for each
-- mail. Gives how many are new. With keys, a token or a limit, or if one is wrong, send_mail makes each, and
-- its error says what is wrong. Else it makes the first, which also checks what all share and wakes, and
-- one INSERT makes the others.
CREATE FUNCTION send_mails(
    kind       text,
    recipients text[],
    data       jsonb[]     DEFAULT NULL,
    locales    text[]      DEFAULT NULL,
    keys       text[]      DEFAULT NULL,
    not_before timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL,
    subjects   text[]      DEFAULT NULL,
    reply_to   text        DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
#variable_conflict use_variable
DECLARE
    lengths CONSTANT integer[] := ARRAY[
        cardinality(recipients), cardinality(data), cardinality(locales), cardinality(keys),
        cardinality(subjects)
    ];
    lines   CONSTANT text := array_to_string(recipients, E'\n', '') || E'\n';
    k       kinds;
    as_set  boolean;
    one     record;
    place   bigint := 0;
    made    bigint := 0;
    rest    bigint := 0;
BEGIN
    IF (SELECT min(length) <> max(length) FROM unnest(lengths) length) THEN
        RAISE EXCEPTION 'the arrays of recipients, data, locales, keys and subjects have % elements',
            array_to_string(lengths, ', ', 'no')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Each that is not NULL must have one element for each mail.';
    END IF;
    SELECT * INTO k FROM kinds WHERE kinds.kind = send_mails.kind;
    -- All addresses by one match, for each match of its own builds its automaton anew. A match takes four
    -- bytes a character, and PostgreSQL gives it no more than 1 GB.
    as_set := num_nonnulls(keys, k.path, subjects, k.cooldown, k.hourly) = 0
        AND (lines IS NULL OR octet_length(lines) < 200000000
            AND lines ~ E'^(?:[^[:cntrl:][:space:]@,;"<>]+@[^[:cntrl:][:space:]@,;"<>]+\n)*$')
        AND NOT EXISTS (
            SELECT FROM (
                SELECT unnest(recipients) AS recipient, unnest(data) AS data, unnest(locales) AS locale
            ) m
            WHERE octet_length(m.recipient) > 320 OR strpos(m.recipient, E'\n') > 0
                OR jsonb_typeof(m.data) <> 'object' OR octet_length(m.data::text) > 65536
                OR m.data ?| '{login,secret,code}'
                OR m.locale !~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}$'
        );
    -- The locks of limit_mail, in one order: two calls that took them mail by mail, each in its own order,
    -- could wait for each other.
    IF k.cooldown IS NOT NULL OR k.hourly IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(1835100525, lock)
        FROM (
            SELECT DISTINCT limit_lock(lower(recipient)) AS lock FROM unnest(recipients) recipient
            ORDER BY lock
        ) locks;
    END IF;
    BEGIN
        FOR one IN
            SELECT unnest(recipients) AS recipient, unnest(data) AS data, unnest(locales) AS locale,
                unnest(keys) AS key, unnest(subjects) AS subject
            LIMIT CASE WHEN as_set THEN 1 END
        LOOP
            place := place + 1;
            -- New is what has the id just drawn; a key that is there gives an older one.
            made := made + coalesce((
                send_mail(
                    kind, one.recipient, one.data, one.locale, one.key, not_before, expires_at,
                    one.subject, reply_to
                ) = currval('tokens_id_seq')
            )::integer, 0);
        END LOOP;
    EXCEPTION WHEN invalid_parameter_value THEN
        RAISE EXCEPTION 'mail %: %', place, SQLERRM USING ERRCODE = 'invalid_parameter_value';
    END;
    IF as_set THEN
        INSERT INTO deliveries
            (queue, kind, priority, due_at, expires_at, recipient, locale, reply_to, data)
        SELECT k.queue, k.kind, k.priority, coalesce(not_before, now()), expires_at, m.recipient,
            m.locale, coalesce(reply_to, k.reply_to), m.data
        FROM (
            SELECT unnest(recipients) AS recipient, unnest(data) AS data, unnest(locales) AS locale
            OFFSET 1
        ) m;
        GET DIAGNOSTICS rest = ROW_COUNT;
    END IF;
    RETURN made + rest;
END;
$$;

CREATE FUNCTION trg_before_list_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.list_id := coalesce(
        NEW.list_id,
        NEW.list || '.' || coalesce(substring(NEW.unsubscribe FROM '^https?://([^/:]+)'), '')
    );
    INSERT INTO kinds (kind, priority) VALUES (NEW.list, 1000) ON CONFLICT DO NOTHING;
    INSERT INTO kinds (kind, path, lifetime, priority, cooldown, hourly)
    VALUES (NEW.list || '.confirm', '/confirm', '7 days', 50, '5 min', 3)
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END;
$$;

CREATE TRIGGER before_list_inserted
    BEFORE INSERT ON lists
    FOR EACH ROW EXECUTE FUNCTION trg_before_list_inserted();

-- Whether a subscriber's data has all values of a filter.
CREATE FUNCTION fits(data jsonb, filter jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT filter IS NULL OR NOT EXISTS (
        SELECT FROM jsonb_each_text(filter) f WHERE data ->> f.key IS DISTINCT FROM f.value
    )
$$;

-- Somebody wants a list: the address is asked whether that was meant. Says the same whether the
-- address was there or not. The mail that asks holds nothing that whoever typed the address could
-- have written.
CREATE FUNCTION subscribe(
    list    text,
    address text,
    data    jsonb DEFAULT NULL,
    locale  text  DEFAULT NULL,
    subject text  DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    one  subscribers;
    mail bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM lists l WHERE l.list = subscribe.list) THEN
        RAISE EXCEPTION 'there is no list %', coalesce(quote_literal(subscribe.list), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A list is a row of the table lists.';
    END IF;
    IF is_address(subscribe.address) IS NOT TRUE THEN
        RAISE EXCEPTION 'address is not one local@domain, without a name or spaces, of at most 320 bytes'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO subscribers AS s (list, address, data, locale, subject, how)
    VALUES (
        subscribe.list, subscribe.address, subscribe.data, subscribe.locale, subscribe.subject,
        'subscribe'
    )
    ON CONFLICT (list, lower(address)) DO UPDATE
    SET address = excluded.address, data = excluded.data, locale = excluded.locale,
        subject = excluded.subject
    WHERE s.state IN ('pending', 'unsubscribed')
    RETURNING s.* INTO one;
    IF FOUND THEN
        mail := send_mail(
            kind => one.list || '.confirm', recipient => one.address, locale => one.locale,
            data => jsonb_build_object('list', one.list)
        );
        UPDATE tokens t SET subject = one.id WHERE t.id = mail;
    END IF;
END;
$$;

-- Uses the token of a mail that asked up: all 86 characters of it. Gives the list if the address is
-- on it now, the second time too; NULL: the link is none, or is too old.
CREATE FUNCTION confirm(token text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    one   tokens;
    found text;
BEGIN
    IF token IS NULL OR token !~ '^[A-Za-z0-9_-]{86}$' THEN
        RETURN NULL;
    END IF;
    SELECT t.* INTO one
    FROM tokens t
    WHERE t.secret = substring(decode(translate(token, '-_', '+/') || '==', 'base64') FOR 32)
        AND t.kind IN (SELECT l.list || '.confirm' FROM lists l)
    FOR UPDATE;
    IF one.consumed_at IS NULL AND one.expires_at > extract(epoch FROM now()) THEN
        UPDATE subscribers s
        SET state = 'confirmed', confirmed_at = now(), changed_at = now(), how = 'confirm'
        WHERE s.id = one.subject::bigint AND s.state IN ('pending', 'unsubscribed');
        UPDATE tokens t SET consumed_at = extract(epoch FROM now()) WHERE t.id = one.id;
    END IF;
    SELECT s.list INTO found
    FROM subscribers s
    WHERE s.id = one.subject::bigint AND s.list || '.confirm' = one.kind AND s.state = 'confirmed';
    RETURN found;
END;
$$;

-- Takes the subscriber whose token this is off the list, and stops what waits for them. Gives the
-- list, the second time too; NULL: the token is none.
CREATE FUNCTION unsubscribe(token text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    raw bytea;
    one subscribers;
BEGIN
    IF token IS NULL OR token !~ '^[A-Za-z0-9_-]{32}$' THEN
        RETURN NULL;
    END IF;
    raw := decode(translate(token, '-_', '+/'), 'base64');
    SELECT s.* INTO one
    FROM subscribers s
    WHERE s.id = ('x' || encode(substring(raw FOR 8), 'hex'))::bit(64)::bigint
        AND s.secret = encode(substring(raw FROM 9), 'hex')::uuid
    FOR UPDATE;
    -- What waits of an issue is stopped by the claim, which looks at this.
    UPDATE subscribers s
    SET state = 'unsubscribed', changed_at = now(), how = 'unsubscribe'
    WHERE s.id = one.id AND s.state IN ('pending', 'confirmed');
    RETURN one.list;
END;
$$;

-- One issue to all who are confirmed, in the caller's transaction. Gives its id; a key that is there
-- already gives the id of the issue that has it, and nothing else happens.
CREATE FUNCTION publish(
    list       text,
    template   text,
    key        text,
    data       jsonb       DEFAULT NULL,
    not_before timestamptz DEFAULT NULL,
    filter     jsonb       DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    one  issues;
    made boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM lists l WHERE l.list = publish.list) THEN
        RAISE EXCEPTION 'there is no list %', coalesce(quote_literal(publish.list), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A list is a row of the table lists.';
    END IF;
    INSERT INTO issues (list, template, key, data, not_before, filter, upto, total)
    VALUES (
        publish.list, publish.template, publish.key, publish.data,
        coalesce(publish.not_before, now()), publish.filter, 0, 0
    )
    ON CONFLICT (key) DO NOTHING
    RETURNING * INTO one;
    made := FOUND;
    IF NOT made THEN
        SELECT i.* INTO STRICT one FROM issues i WHERE i.key = publish.key;
        IF one.list <> publish.list OR one.template <> publish.template THEN
            RAISE EXCEPTION 'the key % is that of an issue of %, from the template %',
                quote_literal(one.key), one.list, one.template
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        RETURN one.id;
    END IF;
    UPDATE issues i
    SET (total, upto) = (
        SELECT count(*) FILTER (WHERE publish.filter IS NULL OR fits(s.data, publish.filter)),
            coalesce(max(s.id), 0)
        FROM subscribers s
        WHERE s.list = publish.list AND s.state = 'confirmed'
    )
    WHERE i.id = one.id;
    PERFORM notify_mailroom();
    RETURN one.id;
END;
$$;

-- One copy, to look at, whoever that is; with the data of the subscriber of this address, if there is
-- one. Gives the delivery's id. Its kind is its own, like that of the list: what one copy lacks for its
-- template holds no issue, and for an hour at most.
CREATE FUNCTION publish_test(list text, template text, address text, data jsonb DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    k    kinds;
    test bigint;
    mail bigint;
BEGIN
    SELECT kinds.* INTO k
    FROM lists l JOIN kinds ON kinds.kind = l.list
    WHERE l.list = publish_test.list;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no list %', coalesce(quote_literal(publish_test.list), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A list is a row of the table lists.';
    END IF;
    INSERT INTO issues (list, template, key, data, state, upto, total, enqueued)
    VALUES (
        k.kind, publish_test.template, 'test ' || gen_random_uuid(), publish_test.data, 'published',
        0, 1, 1
    )
    RETURNING id INTO test;
    INSERT INTO kinds (kind, queue, sender, reply_to)
    VALUES (k.kind || '.test', k.queue, k.sender, k.reply_to)
    ON CONFLICT (kind) DO UPDATE
    SET queue = excluded.queue, sender = excluded.sender, reply_to = excluded.reply_to;
    mail := send_mail(
        k.kind || '.test', publish_test.address, expires_at => now() + interval '1 hour'
    );
    UPDATE deliveries d
    SET issue = test, locale = s.locale, subscriber = s.id
    FROM (SELECT) one
    LEFT JOIN subscribers s ON s.list = k.kind AND lower(s.address) = lower(publish_test.address)
        AND s.state = 'confirmed'
    WHERE d.id = mail;
    RETURN mail;
END;
$$;

-- Makes deliveries of the issue of a queue that is the first to go on, as far as fewer than so many
-- wait. Issues use at most share_of of the day's limit. Gives how many deliveries were made, and
-- whether there is more to do at once. Nothing is made twice: the cursor moves with them.
CREATE FUNCTION enqueue_issue(
    of_queue text,
    most     integer,
    share_of bigint,
    OUT made integer,
    OUT more boolean
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    one    issues;
    k      kinds;
    room   bigint;
    looked bigint;
    last   bigint;
BEGIN
    made := 0;
    more := false;
    -- One at a time: whoever comes second leaves it to the first.
    SELECT i.* INTO one
    FROM issues i
    WHERE i.state = 'publishing' AND i.id = (
        SELECT min(n.id)
        FROM issues n
        JOIN kinds ON kinds.kind = n.list
        WHERE n.state = 'publishing' AND n.not_before <= now() AND kinds.queue = of_queue::job_type
            -- A list that is held is passed over.
            AND NOT EXISTS (
                SELECT FROM deliveries d
                WHERE d.issue IS NOT NULL AND d.state = 'pending' AND d.cause = 'template'
                    AND d.kind = n.list
            )
    )
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT kinds.* INTO STRICT k FROM kinds WHERE kinds.kind = one.list;
    -- What waits for a cause (a retry, a hold, a pause) may wait for long, and must not keep the others
    -- waiting.
    SELECT least(
        most - count(*) FILTER (WHERE d.cause IS NULL AND d.queue = k.queue),
        share_of - count(*) - (
            SELECT coalesce(sum(t.sent), 0)
            FROM tallies t
            WHERE t.issue <> 0 AND t.minute > now() - interval '24 hours 1 minute'
        )
    )
    INTO room
    FROM deliveries d
    WHERE d.issue IS NOT NULL AND d.state <= 'leased';
    IF room <= 0 THEN
        RETURN;
    END IF;
    WITH next AS MATERIALIZED (
        SELECT s.id, s.address, s.locale, s.data
        FROM subscribers s
        WHERE s.list = one.list AND s.state = 'confirmed' AND s.id > one.cursor AND s.id <= one.upto
        ORDER BY s.id
        LIMIT room
    ),
    inserted AS (
        INSERT INTO deliveries
            (queue, kind, priority, recipient, locale, reply_to, issue, subscriber)
        SELECT k.queue, k.kind, k.priority, next.address, next.locale, k.reply_to, one.id, next.id
        FROM next
        WHERE one.filter IS NULL OR fits(next.data, one.filter)
        ORDER BY next.id
        RETURNING id
    )
    SELECT (SELECT count(*) FROM next), (SELECT max(next.id) FROM next),
        (SELECT count(*) FROM inserted)
    INTO looked, last, made;
    more := looked = room;
    UPDATE issues i
    SET cursor = CASE WHEN more THEN last ELSE i.upto END, enqueued = i.enqueued + made,
        state = CASE WHEN more THEN i.state ELSE 'published' END
    WHERE i.id = one.id;
    IF made > 0 THEN
        PERFORM notify_mailroom();
    END IF;
END;
$$;

-- Firing a trigger needs no right on its function; making another trigger of it does.
REVOKE ALL ON FUNCTION
    wake_mailroom(job_type), limit_lock(text), limit_mail(kinds, text), trg_after_account_insert(), trg_after_account_status_change(),
    trg_after_token_consumed(), trg_after_token_inserted(), trg_after_token_deleted(),
    trg_after_delivery_deleted(), trg_after_kind_fits(), trg_before_list_inserted(),
    fits(jsonb, jsonb), subscribe(text, text, jsonb, text, text), confirm(text), unsubscribe(text),
    publish(text, text, text, jsonb, timestamptz, jsonb), enqueue_issue(text, integer, bigint),
    publish_test(text, text, text, jsonb),
    send_mail(text, text, jsonb, text, text, timestamptz, timestamptz, text, text),
    send_mails(text, text[], jsonb[], text[], text[], timestamptz, timestamptz, text[], text)
    FROM PUBLIC;

-- A superuser may migrate what belongs to another role: what is new is to belong to it too.
DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tokens'::regclass);
    one   text;
BEGIN
    IF owner = current_user OR current_setting('is_superuser') <> 'on' THEN
        RETURN;
    END IF;
    FOREACH one IN ARRAY '{TABLE kinds, TABLE deliveries, TABLE tallies, VIEW mails,
        TYPE delivery_state, TYPE delivery_cause, DOMAIN moment, DOMAIN tries, FUNCTION is_address, FUNCTION notify_mailroom, FUNCTION wake_mailroom, FUNCTION limit_lock, FUNCTION limit_mail,
        FUNCTION send_mail, FUNCTION send_mails, FUNCTION trg_after_account_insert,
        FUNCTION trg_after_account_status_change, FUNCTION trg_after_token_consumed,
        FUNCTION trg_after_token_inserted, FUNCTION trg_after_token_deleted,
        FUNCTION trg_after_delivery_deleted,
        FUNCTION trg_after_kind_fits, TABLE lists, TABLE subscribers, TABLE issues,
        TYPE subscriber_state, TYPE issue_state, FUNCTION trg_before_list_inserted,
        FUNCTION fits, FUNCTION subscribe, FUNCTION confirm,
        FUNCTION unsubscribe, FUNCTION publish, FUNCTION publish_test,
        FUNCTION enqueue_issue}'::text[]
    LOOP
        EXECUTE format('ALTER %s OWNER TO %I', one, owner);
    END LOOP;
END;
$$;

COMMIT;
