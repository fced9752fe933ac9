-- mailroom:facts
-- What this connection is. Everybody may read their own row of pg_stat_ssl.
SELECT current_setting('server_version') AS version,
       current_user::text AS role,
       (SELECT version || ', ' || cipher FROM pg_stat_ssl
         WHERE pid = pg_backend_pid() AND ssl) AS tls,
       pg_backend_pid() AS pid,
       clock_timestamp() AS clock
