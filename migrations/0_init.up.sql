-- Accounts, the tokens that are mailed to them, and the cursor of the first mailroom.
-- Needs no extension: random values come from gen_random_uuid(), the server's cryptographic
-- source (PostgreSQL 13 and later).
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TYPE account_status AS ENUM ('provisioned', 'active', 'suspended');
CREATE TYPE token_action AS ENUM ('activation', 'password_recovery');
CREATE TYPE job_type AS ENUM ('mailroom');

-- Moments are whole seconds since 1970.
CREATE TABLE accounts (
    id                bigserial      PRIMARY KEY,
    email             varchar(254)   NOT NULL UNIQUE,
    status            account_status NOT NULL DEFAULT 'provisioned',
    login             varchar(254)   NOT NULL UNIQUE,
    created_at        integer        NOT NULL DEFAULT extract(epoch FROM now()),
    status_changed_at integer,
    activated_at      integer,
    suspended_at      integer,
    unsuspended_at    integer
);

CREATE INDEX accounts_id_status_idx ON accounts (id, status);

-- The account is checked at commit, so that a token may be written before its account.
CREATE TABLE tokens (
    id          bigserial    PRIMARY KEY,
    action      token_action NOT NULL,
    secret      bytea        NOT NULL UNIQUE DEFAULT sha256(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    ),
    code        varchar(5)   DEFAULT lpad(
        (('x' || left(encode(sha256(uuid_send(gen_random_uuid())), 'hex'), 15))::bit(60)::bigint
            % 100000)::text,
        5, '0'
    ),
    account     bigint       NOT NULL REFERENCES accounts (id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    expires_at  integer      NOT NULL DEFAULT extract(epoch FROM now() + interval '15 minutes'),
    consumed_at integer,
    created_at  integer      NOT NULL DEFAULT extract(epoch FROM now())
);

CREATE INDEX tokens_account_fkey ON tokens (account);
CREATE INDEX tokens_id_expires_consumed_action_idx
    ON tokens (id, expires_at, consumed_at, action);

-- One row a queue: the highest token that was handed out.
CREATE TABLE jobs (
    job_type job_type PRIMARY KEY,
    last_seq bigint
);

CREATE INDEX jobs_last_seq_type_idx ON jobs (last_seq, job_type);

INSERT INTO jobs (job_type, last_seq) VALUES ('mailroom', 0);

-- A new account is sent an activation token.
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

-- A change of status is dated; an account that was never activated leaves its suspension as
-- provisioned, whatever was asked for.
CREATE FUNCTION trg_before_account_status_change() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER before_account_status_change
    BEFORE UPDATE OF status ON accounts
    FOR EACH ROW EXECUTE FUNCTION trg_before_account_status_change();

-- Using an activation token activates its account.
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

-- A new token wakes the collector.
CREATE FUNCTION trg_after_token_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY token_insert;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_token_inserted
    AFTER INSERT ON tokens
    FOR EACH ROW EXECUTE FUNCTION trg_after_token_inserted();

COMMIT;
