-- mailroom:export
-- The next $3 subscribers of list $1 behind id $2.
-- Index: the primary key.
SELECT id,
       ARRAY[address, state::text, coalesce(locale, ''), coalesce(subject, ''),
             coalesce(data::text, ''), to_char(created_at AT TIME ZONE 'UTC', iso),
             coalesce(to_char(confirmed_at AT TIME ZONE 'UTC', iso), ''),
             to_char(changed_at AT TIME ZONE 'UTC', iso), how] AS line
  FROM subscribers,
       (SELECT 'YYYY-MM-DD"T"HH24:MI:SS"Z"' AS iso) AS format
 WHERE list = $1::text AND id > $2::bigint
 ORDER BY id
 LIMIT $3::bigint
