-- mailroom:audience
-- To how many an issue of list $1 would go, with filter $2; no row: there is no such list.
-- Index: subscribers_confirmed_idx (list, id) WHERE state = 'confirmed'.
SELECT (SELECT count(*)
          FROM subscribers s
         WHERE s.list = l.list AND s.state = 'confirmed'
           AND ($2::text IS NULL OR fits(s.data, $2::text::jsonb))) AS audience
  FROM lists l
 WHERE l.list = $1::text
