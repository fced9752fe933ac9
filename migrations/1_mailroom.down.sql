-- Back to the cursor, which sends every token above jobs.last_seq: it is set to the highest token
-- that is done with, and those below it that still wait are numbered anew, in the order of their
-- claims, so that they come after it. Mails without a token, and tokens without an account, are gone.
-- A moment that 32 bits do not hold becomes the last one that they do; secrets and codes keep their
-- source, which needs nothing that is not there.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

LOCK TABLE accounts, tokens, deliveries, kinds IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER after_account_insert ON accounts;
DROP TRIGGER after_account_status_change ON accounts;
DROP TRIGGER after_token_consumed ON tokens;
DROP TRIGGER after_token_inserted ON tokens;
DROP TRIGGER after_token_deleted ON tokens;

DROP VIEW mails;
DELETE FROM tokens WHERE account IS NULL;

UPDATE jobs SET last_seq = (
    SELECT coalesce(max(t.id), 0)
    FROM tokens t
    WHERE NOT EXISTS (
        SELECT FROM deliveries d WHERE d.id = t.id AND d.state IN ('pending', 'leased')
    )
);

-- The sequence may lag behind ids that were written by hand.
SELECT setval('tokens_id_seq', greatest((SELECT max(id) FROM tokens), nextval('tokens_id_seq')));

UPDATE tokens t
SET id = fresh.id
FROM (
    SELECT waiting.id AS was, nextval('tokens_id_seq') AS id
    FROM (
        SELECT d.id
        FROM deliveries d
        JOIN tokens USING (id)
        WHERE d.state IN ('pending', 'leased') AND d.id < (SELECT max(last_seq) FROM jobs)
        ORDER BY d.priority, d.due_at, d.id
    ) waiting
) fresh
WHERE t.id = fresh.was;

DROP TABLE deliveries, tallies, issues, subscribers, lists;
DROP FUNCTION
    subscribe(text, text, jsonb, text, text), confirm(text), unsubscribe(text),
    publish(text, text, text, jsonb, timestamptz, jsonb), enqueue_issue(text, integer, bigint),
    publish_test(text, text, text, jsonb), fits(jsonb, jsonb), trg_before_list_inserted();
DROP FUNCTION send_mails(text, text[], jsonb[], text[], text[], timestamptz, timestamptz, text[], text);
DROP FUNCTION send_mail(text, text, jsonb, text, text, timestamptz, timestamptz, text, text);
DROP FUNCTION limit_mail(kinds, text), limit_lock(text);
DROP TABLE kinds;
DROP FUNCTION is_address(text);
DROP TYPE delivery_state, delivery_cause, subscriber_state, issue_state;
DROP DOMAIN moment, tries;
DROP FUNCTION
    trg_after_account_insert(), trg_after_account_status_change(), trg_after_token_consumed(),
    trg_after_token_inserted(), trg_after_token_deleted(), trg_after_delivery_deleted(), trg_after_kind_fits(), wake_mailroom(job_type),
    notify_mailroom();

ALTER TABLE jobs
    DROP CONSTRAINT jobs_paused_check,
    DROP COLUMN paused_reason,
    DROP COLUMN paused_at;

ALTER TABLE accounts
    ALTER COLUMN created_at DROP DEFAULT,
    ALTER COLUMN created_at TYPE integer
        USING CASE WHEN created_at > 2147483647 THEN 2147483647 ELSE created_at END,
    ALTER COLUMN created_at SET DEFAULT extract(epoch FROM now()),
    ALTER COLUMN status_changed_at TYPE integer
        USING CASE WHEN status_changed_at > 2147483647 THEN 2147483647 ELSE status_changed_at END,
    ALTER COLUMN activated_at TYPE integer
        USING CASE WHEN activated_at > 2147483647 THEN 2147483647 ELSE activated_at END,
    ALTER COLUMN suspended_at TYPE integer
        USING CASE WHEN suspended_at > 2147483647 THEN 2147483647 ELSE suspended_at END,
    ALTER COLUMN unsuspended_at TYPE integer
        USING CASE WHEN unsuspended_at > 2147483647 THEN 2147483647 ELSE unsuspended_at END;

ALTER TABLE tokens
    DROP CONSTRAINT tokens_expires_at_check,
    DROP CONSTRAINT tokens_kind_check,
    DROP COLUMN kind,
    DROP COLUMN subject,
    ALTER COLUMN action SET NOT NULL,
    ALTER COLUMN account SET NOT NULL,
    ALTER COLUMN expires_at DROP DEFAULT,
    ALTER COLUMN expires_at TYPE integer
        USING CASE WHEN expires_at > 2147483647 THEN 2147483647 ELSE expires_at END,
    ALTER COLUMN expires_at SET DEFAULT extract(epoch FROM now() + interval '15 minutes'),
    ALTER COLUMN consumed_at TYPE integer
        USING CASE WHEN consumed_at > 2147483647 THEN 2147483647 ELSE consumed_at END,
    ALTER COLUMN created_at DROP DEFAULT,
    ALTER COLUMN created_at TYPE integer
        USING CASE WHEN created_at > 2147483647 THEN 2147483647 ELSE created_at END,
    ALTER COLUMN created_at SET DEFAULT extract(epoch FROM now());

CREATE INDEX accounts_id_status_idx ON accounts (id, status);
CREATE INDEX tokens_id_expires_consumed_action_idx
    ON tokens (id, expires_at, consumed_at, action);
CREATE INDEX jobs_last_seq_type_idx ON jobs (last_seq, job_type);

CREATE FUNCTION trg_before_account_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'provisioned' THEN
        INSERT INTO tokens (account, action) VALUES (NEW.id, 'activation');
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER before_account_insert
    BEFORE INSERT ON accounts
    FOR EACH ROW EXECUTE FUNCTION trg_before_account_insert();

CREATE OR REPLACE FUNCTION trg_before_account_status_change() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    moment integer := extract(epoch FROM now());
BEGIN
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    NEW.status_changed_at := moment;
    CASE
        WHEN NEW.status = 'suspended' THEN
            NEW.suspended_at := moment;
            NEW.unsuspended_at := NULL;
        WHEN NEW.status = 'active' AND OLD.status = 'provisioned' THEN
            NEW.activated_at := moment;
        WHEN NEW.status = 'active' AND OLD.status = 'suspended' THEN
            NEW.suspended_at := NULL;
            NEW.unsuspended_at := moment;
            IF OLD.activated_at IS NULL THEN
                NEW.status := 'provisioned';
            END IF;
        ELSE
            NULL;
    END CASE;
    RETURN NEW;
END;
$$;

CREATE FUNCTION trg_after_token_consumed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
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

CREATE FUNCTION trg_after_token_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY token_insert;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_token_inserted
    AFTER INSERT ON tokens
    FOR EACH ROW EXECUTE FUNCTION trg_after_token_inserted();

-- A superuser may migrate what belongs to another role: what is made is to belong to it too.
DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tokens'::regclass);
    one   text;
BEGIN
    IF owner = current_user OR current_setting('is_superuser') <> 'on' THEN
        RETURN;
    END IF;
    FOREACH one IN ARRAY
        '{trg_before_account_insert, trg_after_token_consumed, trg_after_token_inserted}'::text[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO %I', one, owner);
    END LOOP;
END;
$$;

COMMIT;
