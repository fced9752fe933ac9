-- mailroom:sleep
-- Says that this connection sleeps for queue $1, unless that is said already ($2), and finds out
-- whether a transaction is under way that did not notify because nobody slept (wake_mailroom in
-- migrations/1_mailroom.up.sql): true if there is none, false if there is one, NULL if it could not be
-- said. In this order, which CASE keeps.
SELECT CASE WHEN $2::bool OR pg_try_advisory_lock_shared(1835100527, key) THEN
           CASE WHEN pg_try_advisory_lock(1835100526, key)
                THEN pg_advisory_unlock(1835100526, key)
                ELSE false
           END
       END
  FROM hashenum($1::text::job_type) AS key
