-- The earliest moment for which a delivery of queue $1 is due, but two seconds ago at the latest:
-- what is about to be committed is due since its transaction began.
-- Index: deliveries_wake_idx (queue, state, due_at) WHERE state IN ('pending', 'leased').
SELECT least(now() - interval '2 seconds', (
           SELECT min(due_at)
             FROM deliveries
            WHERE queue = $1::text::job_type AND state = 'pending'))::text AS floor
