-- mailroom:confirmed
-- How many confirmed subscribers each list has, counted up to $1.
-- Index: subscribers_confirmed_idx (list, id) WHERE state = 'confirmed'.
SELECT list,
       (SELECT count(*)
          FROM (SELECT FROM subscribers s
                 WHERE s.list = l.list AND s.state = 'confirmed'
                 LIMIT $1::bigint) AS counted) AS confirmed
  FROM lists l
 ORDER BY list
