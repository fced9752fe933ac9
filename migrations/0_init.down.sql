-- Removes everything that mailroom made, with the data. Extensions are left alone: they were
-- there for whoever installed them.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

DROP TABLE jobs, tokens, accounts;

DROP FUNCTION trg_before_account_insert();
DROP FUNCTION trg_before_account_status_change();
DROP FUNCTION trg_after_token_consumed();
DROP FUNCTION trg_after_token_inserted();

DROP TYPE job_type;
DROP TYPE token_action;
DROP TYPE account_status;

COMMIT;
