-- Back to 32-bit moments and the triggers of 0_init. A moment that does not fit becomes the last
-- one that does; secrets and codes keep their source, which needs nothing that is not there.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

LOCK TABLE accounts, tokens IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER after_token_consumed ON tokens;
DROP TRIGGER after_account_status_change ON accounts;
DROP TRIGGER after_account_insert ON accounts;
DROP FUNCTION trg_after_account_status_change();
DROP FUNCTION trg_after_account_insert();

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

CREATE OR REPLACE FUNCTION trg_after_token_consumed() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- A superuser may migrate what belongs to another role: what is made is to belong to it too.
DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tokens'::regclass);
BEGIN
    IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
        EXECUTE format('ALTER FUNCTION trg_before_account_insert() OWNER TO %I', owner);
    END IF;
END;
$$;

COMMIT;
