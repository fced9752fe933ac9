-- mailroom:functions
-- Name and body of each function in the schema of our tables.
-- <https://www.postgresql.org/docs/current/catalog-pg-proc.html>
SELECT proname::text, prosrc
  FROM pg_proc
 WHERE pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'tokens'::regclass)
