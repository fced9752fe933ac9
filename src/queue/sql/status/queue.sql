-- mailroom:queue
-- What is known of queue $1 as a whole; no row: there is no such queue.
SELECT coalesce(last_seq, 0) AS last_seq, coalesce(paused_reason, '') AS reason,
       round(extract(epoch FROM now() - paused_at)::numeric, 3)::float8 AS paused_for,
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS now
  FROM jobs
 WHERE job_type::text = $1
