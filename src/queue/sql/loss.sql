-- mailroom:loss
-- What version 0 has no place for, for people; NULL: nothing.
SELECT nullif(concat_ws(', ',
           (SELECT format('mails that are not of an account (%s, of which %s wait)', count(*),
                          count(*) FILTER (WHERE d.state IN ('pending', 'leased')))
              FROM deliveries d
              LEFT JOIN tokens t USING (id)
             WHERE t.account IS NULL
            HAVING count(*) > 0),
           (SELECT format('tokens without an account (%s)', count(*))
              FROM tokens
             WHERE account IS NULL
            HAVING count(*) > 0),
           (SELECT format('lists (%s), with their subscribers', count(*)) FROM lists HAVING count(*) > 0),
           (SELECT 'the kinds ' || string_agg(kind, ', ' ORDER BY kind)
              FROM kinds
             WHERE kind NOT IN ('activation', 'password_recovery'))), '') AS loss
