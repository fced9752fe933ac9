-- How many deliveries of queue $1 failed, how many of these nobody gave up, and how many expired.
-- Indexes: deliveries_ended_idx (queue, state, settled_at) WHERE state IN ('failed', 'expired'),
-- and deliveries_failed_idx (queue, settled_at) WHERE state = 'failed' and it was not dropped.
SELECT (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'failed') AS failed,
       (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'failed'
           AND coalesce(error, '') NOT LIKE 'dropped by %') AS open,
       (SELECT count(*) FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'expired') AS expired
