-- mailroom:wake
-- Wakes those who listen on channel $1 and on the one that the triggers notify.
SELECT pg_notify($1::name::text, ''), notify_mailroom()
