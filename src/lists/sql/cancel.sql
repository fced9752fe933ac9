-- mailroom:cancel_issue
-- Ends the issue with key $1: what waits of it is superseded, or is when a claim meets it.
-- Index: deliveries_issue_idx.
WITH cancelled AS (
    UPDATE issues SET state = 'cancelled'
     WHERE key = $1::text AND state <> 'cancelled'
       AND (state <> 'published' OR EXISTS (
               SELECT FROM deliveries WHERE issue = issues.id AND state IN ('pending', 'leased')))
    RETURNING id, key
),
ended AS (
    UPDATE deliveries d
       SET state = 'superseded', cause = 'dropped', error = 'its issue was cancelled',
           due_at = now()
      FROM cancelled
     WHERE d.issue = cancelled.id AND d.state = 'pending'
)
SELECT key FROM cancelled
