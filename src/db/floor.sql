-- The earliest moment for which a delivery of queue $1 is due, or now if none waits: from here on
-- everything that is committed already can be found.
-- Index: deliveries_wake_idx (queue, state, due_at) WHERE state IN ('pending', 'leased').
SELECT least(now(), (SELECT min(due_at)
                       FROM deliveries
                      WHERE queue = $1::text::job_type AND state = 'pending'))::text AS floor
