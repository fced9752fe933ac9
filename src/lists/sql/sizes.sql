-- mailroom:sizes
-- How many subscribers list $1 (NULL: each) has in each state. Reads all of them.
SELECT l.list,
       count(*) FILTER (WHERE s.state = 'confirmed') AS confirmed,
       count(*) FILTER (WHERE s.state = 'pending') AS pending,
       count(*) FILTER (WHERE s.state = 'unsubscribed') AS unsubscribed,
       count(*) FILTER (WHERE s.state = 'suppressed') AS suppressed
  FROM lists l
  LEFT JOIN subscribers s USING (list)
 WHERE $1::text IS NULL OR l.list = $1
 GROUP BY l.list
 ORDER BY l.list
