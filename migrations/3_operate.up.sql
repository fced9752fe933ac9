-- What whoever runs the queue needs: a pause that every collector sees, and counts that cost the
-- same beside ten settled rows or ten million.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Nothing is claimed while paused_at is set.
ALTER TABLE jobs
    ADD COLUMN paused_at     timestamptz,
    ADD COLUMN paused_reason text,
    ADD CONSTRAINT jobs_paused_check CHECK (paused_at IS NOT NULL OR paused_reason IS NULL);

-- How many deliveries were sent in each minute; the minute '-infinity' holds all earlier ones.
-- Each writer has rows of its own, so that collectors do not wait for each other. Sent rows are
-- too many to count, and are removed some day, or at once.
CREATE TABLE tallies (
    queue  job_type    NOT NULL,
    minute timestamptz NOT NULL,
    writer smallint    NOT NULL,
    sent   bigint      NOT NULL,
    PRIMARY KEY (queue, minute, writer)
);

-- Nothing may be settled while what was sent is counted.
LOCK TABLE deliveries IN SHARE MODE;

INSERT INTO tallies (queue, minute, writer, sent)
SELECT
    queue,
    CASE WHEN settled_at > now() - interval '25 hours'
        THEN date_trunc('minute', settled_at) ELSE '-infinity' END,
    0,
    count(*)
FROM deliveries
WHERE state = 'sent'
GROUP BY 1, 2;

-- What ended badly: counted, and listed from the latest.
CREATE INDEX deliveries_ended_idx ON deliveries (queue, state, settled_at)
    WHERE state IN ('failed', 'expired');
-- What failed and was not given up by a person.
CREATE INDEX deliveries_failed_idx ON deliveries (queue, settled_at)
    WHERE state = 'failed' AND coalesce(error, '') NOT LIKE 'dropped by %';

-- A superuser may migrate what belongs to another role: what is new is to belong to it too.
DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tokens'::regclass);
BEGIN
    IF owner <> current_user AND current_setting('is_superuser') = 'on' THEN
        EXECUTE format('ALTER TABLE tallies OWNER TO %I', owner);
    END IF;
END;
$$;

COMMIT;
