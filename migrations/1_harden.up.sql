-- Moments beyond 2038, secrets and codes from a cryptographic source without an extension,
-- activation tokens that survive ON CONFLICT and a suspension.
--
-- Every function that stays is written anew, so that an upgraded installation ends up the same
-- as a new one. FROM CURRENT pins the search path that is set here: the schema of the
-- installation, then temporary objects last, so that a caller's own path or temporary table
-- cannot take the place of a table of ours.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

LOCK TABLE accounts, tokens IN ACCESS EXCLUSIVE MODE;

-- A column's type cannot change while a trigger's condition names it.
DROP TRIGGER after_token_consumed ON tokens;
DROP TRIGGER before_account_insert ON accounts;
DROP FUNCTION trg_before_account_insert();

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
    -- Up to the year 9999: milliseconds by mistake, or a number that is no timestamp, end here
    -- and not in a claim.
    ADD CONSTRAINT tokens_expires_at_check
        CHECK (expires_at BETWEEN -2147483648 AND 253402300799);

-- After the insert and once a statement: a row that ON CONFLICT skipped gets no token. The
-- rights are the owner's, so that a role that may add accounts needs none on tokens.
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

-- Whoever was suspended before activating would otherwise be left with a dead link.
CREATE FUNCTION trg_after_account_status_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    IF NOT EXISTS (
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
    FOR EACH ROW WHEN (OLD.status = 'suspended' AND NEW.status = 'provisioned')
    EXECUTE FUNCTION trg_after_account_status_change();

CREATE OR REPLACE FUNCTION trg_after_token_consumed() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
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

-- Firing a trigger needs no right on its function; making another trigger of it does.
REVOKE ALL ON FUNCTION trg_after_account_insert() FROM PUBLIC;
REVOKE ALL ON FUNCTION trg_after_account_status_change() FROM PUBLIC;

-- A superuser may migrate what belongs to another role: what is new is to belong to it too.
DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tokens'::regclass);
BEGIN
    IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
        EXECUTE format('ALTER FUNCTION trg_after_account_insert() OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION trg_after_account_status_change() OWNER TO %I', owner);
    END IF;
END;
$$;

COMMIT;
