-- mailroom:pause_issue
-- Makes no more deliveries of the issue with key $1; what waits of it is not claimed.
UPDATE issues SET state = 'paused'
 WHERE key = $1::text
   AND (state = 'publishing'
        OR state = 'published' AND EXISTS (
               SELECT FROM deliveries
                WHERE issue = issues.id AND state IN ('pending', 'leased')))
RETURNING key
