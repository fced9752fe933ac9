-- Keeps jobs.last_seq as the highest token handed out: a record for people; nothing is decided
-- by it.
UPDATE jobs SET last_seq = $2
 WHERE job_type = $1::text::job_type AND coalesce(last_seq, 0) < $2
