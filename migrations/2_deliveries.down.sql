-- Back to the cursor, which sends every token above jobs.last_seq. It is set to the highest token
-- that is done with; those below it that still wait are numbered anew, in the order of their
-- claims, so that they come after it.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

LOCK TABLE accounts, tokens, deliveries IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER after_account_status_fits ON accounts;
DROP TRIGGER after_token_inserted ON tokens;
DROP FUNCTION trg_after_account_status_fits();
DROP FUNCTION trg_after_token_inserted();

ALTER TABLE deliveries DROP CONSTRAINT deliveries_token_fkey;

UPDATE jobs SET last_seq = (
    SELECT coalesce(max(t.id), 0)
    FROM tokens t
    WHERE NOT EXISTS (
        SELECT FROM deliveries d WHERE d.token = t.id AND d.state IN ('pending', 'leased')
    )
);

-- The sequence may lag behind ids that were written by hand.
SELECT setval(pg_get_serial_sequence('tokens', 'id'), greatest(
    (SELECT max(id) FROM tokens),
    nextval(pg_get_serial_sequence('tokens', 'id'))
));

UPDATE tokens t
SET id = fresh.id
FROM (
    SELECT waiting.token, nextval(pg_get_serial_sequence('tokens', 'id')) AS id
    FROM (
        SELECT token
        FROM deliveries
        WHERE state IN ('pending', 'leased') AND token < (SELECT max(last_seq) FROM jobs)
        ORDER BY priority, due_at, token
    ) waiting
) fresh
WHERE t.id = fresh.token;

DROP TABLE deliveries;
DROP TABLE actions;
DROP TYPE delivery_state;

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
BEGIN
    IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
        EXECUTE format('ALTER FUNCTION trg_after_token_inserted() OWNER TO %I', owner);
    END IF;
END;
$$;

COMMIT;
