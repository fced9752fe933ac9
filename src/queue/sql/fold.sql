-- mailroom:fold
-- Adds up the tallies of queue $1 for each issue: those of a minute that is over, and those older than a
-- day to those of all earlier minutes.
-- Index: the primary key of tallies.
WITH old AS (
    DELETE FROM tallies
     WHERE queue = $1::text::job_type AND minute > '-infinity'
       AND (writer > 0 AND minute < now() - interval '2 minutes' OR minute < now() - interval '25 hours')
    RETURNING queue, minute, sent, issue
)
INSERT INTO tallies AS t (queue, minute, writer, sent, issue)
SELECT queue, CASE WHEN minute < now() - interval '25 hours' THEN '-infinity' ELSE minute END, 0,
       sum(sent), issue
  FROM old
 GROUP BY 1, 2, issue
ON CONFLICT (queue, minute, writer, issue) DO UPDATE SET sent = t.sent + excluded.sent
