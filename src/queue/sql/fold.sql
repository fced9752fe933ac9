-- mailroom:fold
-- Adds the tallies of queue $1 that are older than a day to the one of all earlier minutes.
-- Index: the primary key of tallies.
WITH old AS (
    DELETE FROM tallies
     WHERE queue = $1::text::job_type AND minute > '-infinity'
       AND minute < now() - interval '25 hours'
    RETURNING queue, sent
)
INSERT INTO tallies AS t (queue, minute, writer, sent)
SELECT queue, '-infinity', 0, sum(sent) FROM old GROUP BY queue
ON CONFLICT (queue, minute, writer) DO UPDATE SET sent = t.sent + excluded.sent
