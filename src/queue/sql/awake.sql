-- mailroom:awake
-- Says that this connection does not sleep any more for queue $1.
SELECT pg_advisory_unlock_shared(1835100527, hashenum($1::text::job_type))
