-- What each kind of mail is, as data, and one row for each mail with its state. The cursor
-- jobs.last_seq decides nothing any more: ids are handed out in one order and commit in another.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- No token may be added meanwhile.
LOCK TABLE accounts, tokens IN ACCESS EXCLUSIVE MODE;

-- A new kind of mail is a value of token_action and a row here.
CREATE TABLE actions (
    action         token_action     PRIMARY KEY,
    -- On the wire.
    number         smallint         NOT NULL UNIQUE CHECK (number > 0),
    -- Signed before the secret.
    path           text             NOT NULL CHECK (path <> ''),
    signs_code     boolean          NOT NULL DEFAULT false,
    -- The statuses an account may have to be sent this.
    account_status account_status[] NOT NULL CHECK (cardinality(account_status) > 0),
    -- The lowest goes first.
    priority       smallint         NOT NULL DEFAULT 50,
    queue          job_type         NOT NULL DEFAULT 'mailroom'
);

INSERT INTO actions (action, number, path, signs_code, account_status, priority) VALUES
    ('activation',        1, '/activate', false, '{provisioned}', 20),
    ('password_recovery', 2, '/recover',  true,  '{active}',      10);

CREATE TYPE delivery_state AS ENUM ('pending', 'leased', 'sent', 'failed', 'expired');

-- Rows change often and the table stays small: room on each page for the next version of a row,
-- and a vacuum after so many changes, not after a share of the table.
CREATE TABLE deliveries (
    token       bigint         PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    queue       job_type       NOT NULL DEFAULT 'mailroom',
    priority    smallint       NOT NULL DEFAULT 50,
    state       delivery_state NOT NULL DEFAULT 'pending',
    attempts    integer        NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- pending: not before this moment; leased: the lease runs out then.
    due_at      timestamptz    NOT NULL DEFAULT now(),
    -- Names the claim that holds the row.
    lease       text,
    provider_id text,
    error       text,
    created_at  timestamptz    NOT NULL DEFAULT now(),
    settled_at  timestamptz,
    CONSTRAINT deliveries_leased_check CHECK ((state = 'leased') = (lease IS NOT NULL)),
    CONSTRAINT deliveries_settled_check
        CHECK ((state IN ('sent', 'failed', 'expired')) = (settled_at IS NOT NULL))
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 1000
);

-- What may be claimed, in the order of claims.
CREATE INDEX deliveries_claim_idx ON deliveries (queue, priority, due_at, token)
    WHERE state = 'pending';
-- What happens next: a retry falls due, a lease runs out.
CREATE INDEX deliveries_wake_idx ON deliveries (queue, state, due_at)
    WHERE state IN ('pending', 'leased');
-- What may be pruned.
CREATE INDEX deliveries_settled_idx ON deliveries (settled_at)
    WHERE state IN ('sent', 'failed', 'expired');

-- Tokens beyond the cursor were not handed out yet.
INSERT INTO deliveries (token, queue, priority, state, error, settled_at)
SELECT
    t.id, coalesce(a.queue, 'mailroom'), coalesce(a.priority, 50),
    CASE WHEN past.use IS NULL THEN 'pending' ELSE 'expired' END::delivery_state,
    past.use,
    CASE WHEN past.use IS NOT NULL THEN now() END
FROM tokens t
LEFT JOIN actions a USING (action)
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN t.consumed_at IS NOT NULL THEN 'its token was used'
        WHEN t.expires_at <= extract(epoch FROM now()) THEN 'its token expired'
    END AS use
) past
WHERE t.id > coalesce((SELECT last_seq FROM jobs WHERE job_type = 'mailroom'), 0)
ORDER BY t.id;

-- One delivery a token, and one notification a statement. The notification says nothing: it may
-- be lost or forged. Its channel is `ALTER DATABASE … SET mailroom.channel = '…'`, cut as LISTEN
-- cuts a name. The rights are the owner's, so that a role that may add tokens needs no others.
DROP TRIGGER after_token_inserted ON tokens;
DROP FUNCTION trg_after_token_inserted();

CREATE FUNCTION trg_after_token_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO deliveries (token, queue, priority)
    SELECT i.id, coalesce(a.queue, 'mailroom'), coalesce(a.priority, 50)
    FROM inserted i
    LEFT JOIN actions a USING (action)
    ORDER BY i.id;
    IF FOUND THEN
        PERFORM pg_notify(
            coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name,
            ''
        );
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_token_inserted
    AFTER INSERT ON tokens
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION trg_after_token_inserted();

-- What waited for this status is served now. All pending rows are written, also those that are
-- due: a claim that still sees the old status may be about to put them off.
CREATE FUNCTION trg_after_account_status_fits() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE deliveries d
    SET due_at = now()
    FROM tokens t
    JOIN actions a USING (action)
    WHERE t.account = NEW.id AND d.token = t.id AND d.state = 'pending'
        AND NEW.status = ANY (a.account_status);
    IF FOUND THEN
        PERFORM pg_notify(
            coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name,
            ''
        );
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_account_status_fits
    AFTER UPDATE OF status ON accounts
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION trg_after_account_status_fits();

REVOKE ALL ON FUNCTION trg_after_token_inserted() FROM PUBLIC;
REVOKE ALL ON FUNCTION trg_after_account_status_fits() FROM PUBLIC;

-- A superuser may migrate what belongs to another role: what is new is to belong to it too.
DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tokens'::regclass);
BEGIN
    IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
        EXECUTE format('ALTER TABLE actions OWNER TO %I', owner);
        EXECUTE format('ALTER TYPE delivery_state OWNER TO %I', owner);
        EXECUTE format('ALTER TABLE deliveries OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION trg_after_token_inserted() OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION trg_after_account_status_fits() OWNER TO %I', owner);
    END IF;
END;
$$;

COMMIT;
