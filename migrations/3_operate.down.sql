-- Without pause and tallies. A paused queue goes on, and how much was sent is forgotten.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

DROP INDEX deliveries_failed_idx;
DROP INDEX deliveries_ended_idx;
DROP TABLE tallies;

ALTER TABLE jobs
    DROP CONSTRAINT jobs_paused_check,
    DROP COLUMN paused_reason,
    DROP COLUMN paused_at;

COMMIT;
