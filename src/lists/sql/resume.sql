-- mailroom:resume_issue
-- The issue with key $1 goes on; what waits of it is due at once.
-- Index: deliveries_issue_idx.
WITH resumed AS (
    UPDATE issues
       SET state = CASE WHEN cursor < upto THEN 'publishing' ELSE 'published' END::issue_state
     WHERE key = $1::text AND state = 'paused'
    RETURNING id, key
),
due AS (
    UPDATE deliveries d SET due_at = now(), cause = NULL
      FROM resumed
     WHERE d.issue = resumed.id AND d.state = 'pending' AND d.attempts = 0
)
SELECT key FROM resumed
