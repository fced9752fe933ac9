-- mailroom:ended
-- How many deliveries of queue $1 failed, how many of these nobody gave up, how many expired, how many of
-- those were not to be sent at that time, and how many a newer one took the place of.
-- Index: deliveries_ended_idx (queue, state, settled_at) WHERE state IN ('failed', 'expired',
-- 'superseded').
SELECT (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'failed') AS failed,
       (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'failed'
           AND cause IS DISTINCT FROM 'dropped') AS open,
       (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'expired') AS expired,
       (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'expired'
           AND cause IN ('ineligible', 'limited')) AS ineligible,
       (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'superseded') AS superseded
