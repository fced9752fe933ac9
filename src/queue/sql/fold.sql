-- mailroom:fold
-- Adds the tallies of queue $1 that are older than a day to those of all earlier minutes,
-- one for each issue.
-- Index: the primary key of tallies.
WITH old AS (
    DELETE FROM tallies
     WHERE queue = $1::text::job_type AND minute > '-infinity'
       AND minute < now() - interval '25 hours'
    RETURNING queue, sent, issue
)
INSERT INTO tallies AS t (queue, minute, writer, sent, issue)
SELECT queue, '-infinity', 0, sum(sent), issue FROM old GROUP BY queue, issue
ON CONFLICT (queue, minute, writer, issue) DO UPDATE SET sent = t.sent + excluded.sent
