-- mailroom:record
-- Keeps jobs.last_seq as the highest token handed out: a record for people; nothing is decided
-- by it, so whoever holds the row is not waited for. Where migrations were taken back beyond the table
-- of deliveries, something is: then it stays.
UPDATE jobs SET last_seq = $2::bigint
 WHERE job_type = (SELECT job_type
                     FROM jobs
                    WHERE job_type = $1::text::job_type AND coalesce(last_seq, 0) < $2
                       AND to_regclass('deliveries') IS NOT NULL
                      FOR UPDATE SKIP LOCKED)
