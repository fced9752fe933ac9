-- mailroom:enqueue
-- Makes deliveries of an issue of queue $1, as far as fewer than $2 wait; issues may be $3 of the mails
-- of any 24 hours (NULL: no limit). The function has the owner's rights.
-- Index: subscribers_confirmed_idx (list, id) WHERE state = 'confirmed', from the cursor of the issue
-- on; deliveries_issue_idx, for what waits of issues.
SELECT made, more FROM enqueue_issue($1::text, $2::integer, $3::bigint)
