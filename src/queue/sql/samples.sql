-- mailroom:samples
-- The kinds of queue $1, each with the data of its mails, a row for each set of names that is in use: those of
-- the newest mail, and of the mails that wait, five sets of a kind at most, of the latest 1000 deliveries. A
-- kind without any has one row without data. Index: the primary key of deliveries.
WITH recent AS MATERIALIZED (
    SELECT d.id, d.kind, d.state IN ('pending', 'leased') AS waits, coalesce(d.data, '{}') AS data,
           d.recipient IS NOT NULL OR EXISTS (SELECT FROM tokens t WHERE t.id = d.id) AS mail,
           ARRAY(SELECT name FROM jsonb_object_keys(d.data) AS name ORDER BY name) AS names
      FROM (SELECT id, kind, state, data, recipient
              FROM deliveries
             WHERE queue::text = $1
             ORDER BY id DESC
             LIMIT 1000) AS d
), shapes AS (
    SELECT DISTINCT ON (kind, names) id, kind, mail, data
      FROM recent
     WHERE waits OR id IN (SELECT max(id) FROM recent GROUP BY kind)
     ORDER BY kind, names, id DESC
)
SELECT k.kind, k.number, k.template, k.path, k.account_status IS NOT NULL AS of_account,
       s.mail, s.data::text AS data
  FROM kinds k
  LEFT JOIN LATERAL (SELECT id, mail, data FROM shapes
                      WHERE shapes.kind = k.kind ORDER BY id DESC LIMIT 5) AS s ON true
 WHERE k.queue::text = $1
 ORDER BY k.number, k.kind, s.id DESC
