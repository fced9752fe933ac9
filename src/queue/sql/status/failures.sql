-- Why deliveries of queue $1 failed: the reasons of the latest $2 that did, the most frequent
-- first.
-- Index: deliveries_failed_idx (queue, settled_at) WHERE state = 'failed' and it was not dropped.
SELECT coalesce(error, '') AS reason, count(*) AS count
  FROM (SELECT error
          FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'failed'
           AND coalesce(error, '') NOT LIKE 'dropped by %'
         ORDER BY settled_at DESC
         LIMIT $2::bigint) AS latest
 GROUP BY 1
 ORDER BY 2 DESC, 1
