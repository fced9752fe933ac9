-- What may be pruned is found by its age alone, and a row of actions wakes nobody.
BEGIN ISOLATION LEVEL READ COMMITTED;

SET LOCAL client_min_messages = warning;
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- In the order of the triggers and of claims, which would be met the other way round.
LOCK TABLE deliveries, actions IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER after_action_fits ON actions;
DROP TRIGGER after_action_inserted ON actions;
DROP FUNCTION trg_after_action_fits();

DROP INDEX deliveries_settled_idx;
CREATE INDEX deliveries_settled_idx ON deliveries (settled_at)
    WHERE state IN ('sent', 'failed', 'expired');

COMMIT;
