-- What may be pruned is found by queue: one that keeps nothing passed over all that another keeps. And
-- what waits for a row of actions is served when that comes, not when it is looked at next, which may
-- be after its token has expired.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- In the order of the triggers and of claims, which would be met the other way round.
LOCK TABLE deliveries, actions IN ACCESS EXCLUSIVE MODE;

DROP INDEX deliveries_settled_idx;
CREATE INDEX deliveries_settled_idx ON deliveries (queue, settled_at)
    WHERE state IN ('sent', 'failed', 'expired');

-- All pending rows of the action are written, also those that are due: a claim that does not see the
-- new row yet may be about to put them off.
CREATE FUNCTION trg_after_action_fits() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE deliveries d
    SET due_at = now()
    FROM tokens t
    WHERE t.id = d.token AND t.action = NEW.action AND d.state = 'pending';
    IF FOUND THEN
        PERFORM pg_notify(
            coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name,
            ''
        );
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER after_action_inserted
    AFTER INSERT ON actions
    FOR EACH ROW EXECUTE FUNCTION trg_after_action_fits();

CREATE TRIGGER after_action_fits
    AFTER UPDATE OF account_status ON actions
    FOR EACH ROW WHEN (OLD.account_status IS DISTINCT FROM NEW.account_status)
    EXECUTE FUNCTION trg_after_action_fits();

REVOKE ALL ON FUNCTION trg_after_action_fits() FROM PUBLIC;

-- A superuser may migrate what belongs to another role: what is new is to belong to it too.
DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tokens'::regclass);
BEGIN
    IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
        EXECUTE format('ALTER FUNCTION trg_after_action_fits() OWNER TO %I', owner);
    END IF;
END;
$$;

COMMIT;
