-- mailroom:announce
-- Takes the shared advisory lock ($1, queue $2) that says: this connection listens. Nobody waits
-- for it.
SELECT pg_try_advisory_lock_shared($1, oid::int4)
  FROM pg_enum
 WHERE enumtypid = 'job_type'::regtype AND enumlabel = $2
