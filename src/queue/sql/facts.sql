-- mailroom:facts
-- What this connection is. Everybody may read their own row of pg_stat_ssl.
SELECT current_setting('server_version') AS version,
       current_user::text AS role,
       (SELECT version || ', ' || cipher FROM pg_stat_ssl
         WHERE pid = pg_backend_pid() AND ssl) AS tls,
       current_setting('transaction_read_only') = 'on' AS read_only,
       coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert') AS channel,
       pg_backend_pid() AS pid,
       clock_timestamp() AS clock
