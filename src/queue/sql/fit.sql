-- mailroom:fit
-- What may be wrong with the database of queue $1, whose listeners listen on channel $2 (NULL: nobody
-- listens): a row each, with what is wrong (NULL: nothing). A trigger counts if it fires for the
-- statements of an ordinary session.
-- <https://www.postgresql.org/docs/current/catalog-pg-trigger.html>
-- <https://www.postgresql.org/docs/current/ddl-rowsecurity.html>
SELECT 'queue' AS subject,
       CASE WHEN NOT EXISTS (SELECT FROM jobs WHERE job_type::text = $1::text)
            THEN format('there is no queue "%s"', $1)
       END AS wrong
 UNION ALL
SELECT 'polling',
       (SELECT 'mailroom.notify is never for ' || string_agg(DISTINCT CASE
                   WHEN setrole = 0 THEN 'this database' ELSE setrole::regrole::text END, ', ')
               || ': mail waits until it is looked for, MAILROOM_POLL, and each look is a statement'
          FROM pg_db_role_setting
         WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
           AND 'mailroom.notify=never' = ANY (setconfig))
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
          FROM (SELECT format(CASE WHEN tgname IS NULL THEN '%s on %s is missing'
                                   WHEN tgenabled NOT IN ('O', 'A') THEN '%s on %s is disabled'
                                   WHEN tgtype <> type OR tgfoid <> to_regproc(function)
                                   THEN '%s on %s is not the one of mailroom'
                              END, name, relation)
                  FROM (VALUES ('accounts', 'after_account_insert', 4, ''),
                               ('accounts', 'after_account_status_change', 17, ''),
                               ('accounts', 'before_account_status_change', 19, ''),
                               ('tokens', 'after_token_consumed', 17, ''),
                               ('tokens', 'after_token_deleted', 8, ''),
                               ('tokens', 'after_token_inserted', 4, ''),
                               ('kinds', 'after_kind_fits', 17, ''),
                               ('kinds', 'after_kind_inserted', 5, 'trg_after_kind_fits'),
                               ('lists', 'before_list_inserted', 7, ''))
                       AS needed (relation, name, type, named)
                 CROSS JOIN LATERAL coalesce(nullif(named, ''), 'trg_' || name) AS function
                  LEFT JOIN pg_trigger ON tgrelid = relation::regclass AND tgname = name
                 UNION ALL
                SELECT format('session_replication_role is %s for %s: no trigger fires', role, who)
                  FROM (SELECT current_setting('session_replication_role'), 'this session'
                         UNION ALL
                        SELECT split_part(setting, '=', 2),
                               concat_ws(' in ', nullif(setrole::regrole::text, '-'), datname)
                          FROM pg_db_role_setting
                          LEFT JOIN pg_database ON pg_database.oid = setdatabase
                         CROSS JOIN unnest(setconfig) AS setting
                         WHERE setting LIKE 'session_replication_role=%'
                           AND coalesce(datname, current_database()) = current_database())
                       AS set (role, who)
                 WHERE role = 'replica'
                   AND EXISTS (SELECT FROM pg_trigger
                                WHERE tgenabled = 'O' AND NOT tgisinternal
                                  AND tgrelid IN ('accounts'::regclass, 'tokens'::regclass)))
               AS found (wrong))
 UNION ALL
SELECT 'replication',
       (SELECT string_agg(srrelid::regclass::text, ', ') || ' gets rows of a subscription, for which '
               || 'triggers of statements do not fire, even if they are enabled always'
          FROM pg_subscription_rel
         WHERE srrelid IN ('accounts'::regclass, 'tokens'::regclass))
 UNION ALL
SELECT 'sequence',
       (SELECT format('tokens_id_seq stands at %s, and there is a delivery %s already: what asks for a '
                      'mail fails', last_value, highest)
          FROM (SELECT CASE WHEN has_sequence_privilege('tokens_id_seq', 'USAGE, SELECT')
                            THEN coalesce(pg_sequence_last_value('tokens_id_seq'), 0) END AS last_value,
                       (SELECT max(id) FROM deliveries) AS highest) AS known
         WHERE last_value < highest)
 UNION ALL
SELECT 'two-phase commit',
       CASE WHEN current_setting('max_prepared_transactions') <> '0'
            THEN 'max_prepared_transactions is not 0, and what asks for a mail notifies, which '
                 'PREPARE TRANSACTION refuses'
       END
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
