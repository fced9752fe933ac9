-- mailroom:fit
-- What may be wrong with the database of queue $1, whose listeners listen on channel $2 (NULL: nobody
-- listens): a row each, with what is wrong (NULL: nothing). A trigger counts if it fires for the
-- statements of an ordinary session.
-- <https://www.postgresql.org/docs/current/catalog-pg-trigger.html>
-- <https://www.postgresql.org/docs/current/ddl-rowsecurity.html>
SELECT 'queue' AS subject,
       CASE WHEN NOT EXISTS (SELECT FROM jobs WHERE job_type::text = $1)
            THEN format('there is no queue "%s"', $1)
       END AS wrong
 UNION ALL
SELECT 'pause',
       (SELECT format('%s is paused%s', $1, ': ' || nullif(paused_reason, '')) FROM jobs
         WHERE job_type::text = $1 AND paused_at IS NOT NULL)
 UNION ALL
SELECT 'row level security',
       (SELECT 'may hide rows of ' || string_agg(name, ', ')
          FROM unnest('{accounts,tokens,deliveries,kinds,jobs}'::text[]) AS name
         WHERE row_security_active(name))
 UNION ALL
SELECT 'triggers',
       (SELECT string_agg(wrong, ', ' ORDER BY wrong)
          FROM (SELECT format('%s on %s is missing', name, relation)
                  FROM (VALUES ('accounts', 'after_account_insert'),
                               ('accounts', 'before_account_status_change'),
                               ('tokens', 'after_token_inserted'),
                               ('tokens', 'after_token_consumed')) AS needed (relation, name)
                 WHERE NOT EXISTS (SELECT FROM pg_trigger
                                    WHERE tgrelid = relation::regclass AND tgname = name)
                 UNION ALL
                SELECT format('%s on %s is disabled', tgname, tgrelid::regclass)
                  FROM pg_trigger
                  JOIN pg_proc ON pg_proc.oid = tgfoid AND proname LIKE 'trg\_%'
                 WHERE tgrelid IN ('accounts'::regclass, 'tokens'::regclass, 'kinds'::regclass)
                   AND tgenabled NOT IN ('O', 'A')) AS found (wrong))
 UNION ALL
SELECT 'channel',
       CASE WHEN notified <> $2::text
            THEN format('the triggers of this database notify "%s", MAILROOM_CHANNEL_NAME is "%s": '
                        'mail would be found at the next healthcheck only', notified, $2)
       END
  FROM coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert') AS notified
 WHERE $2 IS NOT NULL
 UNION ALL
SELECT 'database',
       CASE WHEN current_setting('transaction_read_only') = 'on'
            THEN 'nothing can be written there'
       END
