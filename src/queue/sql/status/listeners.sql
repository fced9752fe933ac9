-- mailroom:listeners
-- Who listens for queue $2: the connections that hold its shared advisory lock, whose first key
-- is $1. Locks, names and roles may be read by everybody; addresses and times only by the same
-- role and by pg_read_all_stats. Who is not done with a statement after half a minute, which no
-- process waits for, listens no more: such a connection may outlive its process.
SELECT a.pid, coalesce(a.usename::text, '') AS role, coalesce(a.application_name, '') AS name,
       coalesce(host(a.client_addr), '') AS address,
       round(extract(epoch FROM now() - a.backend_start)::numeric, 3)::float8 AS seconds
  FROM pg_locks l
  JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = $1::int4::oid
   AND l.objid = (SELECT oid FROM pg_enum
                   WHERE enumtypid = 'job_type'::regtype AND enumlabel = $2)
   AND (a.state = 'active' AND a.query_start < now() - interval '30 seconds') IS NOT TRUE
 ORDER BY a.pid
