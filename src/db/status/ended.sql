-- How many deliveries of queue $1 failed, were given up by a person, and expired.
-- Indexes: deliveries_ended_idx (queue, state, settled_at) WHERE state IN ('failed', 'expired'),
-- and deliveries_failed_idx (queue, settled_at) WHERE state = 'failed' and it was not dropped.
SELECT failed, all_failed - failed AS dropped, expired
  FROM (SELECT (SELECT count(*) FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'failed'
                   AND coalesce(error, '') NOT LIKE 'dropped by %') AS failed,
               (SELECT count(*) FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'failed') AS all_failed,
               (SELECT count(*) FROM deliveries
                 WHERE queue = $1::text::job_type AND state = 'expired') AS expired) AS counted
