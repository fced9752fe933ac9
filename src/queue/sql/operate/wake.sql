-- Wakes those who listen on channel $1 and on the one that the triggers notify.
SELECT pg_notify($1::name::text, ''),
       pg_notify(coalesce(nullif(current_setting('mailroom.channel', true), ''),
                          'token_insert')::name::text, '')
