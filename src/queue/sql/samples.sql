-- mailroom:samples
-- The kinds of queue $1, each with the data of its mails, a row for each set of names that is in use: those of
-- the newest mail, and of the mails that wait, five sets of a kind at most, of the latest 1000 deliveries that
-- wait or went. A kind without any has one row without data. That of a list has a row for each template of its issues that are
-- under way, of its newest one, and its own, if it names one; the data is that of the issue and of the one who
-- has the fewest names, of those who get it. A test copy has a template of those.
-- Indexes: the primary key of deliveries; subscribers_confirmed_idx (list, id).
WITH recent AS MATERIALIZED (
    SELECT d.id, d.kind, d.state IN ('pending', 'leased') AS waits, coalesce(d.data, '{}') AS data,
           d.recipient IS NOT NULL OR EXISTS (SELECT FROM tokens t WHERE t.id = d.id) AS mail,
           ARRAY(SELECT name FROM jsonb_object_keys(d.data) AS name ORDER BY name) AS names
      FROM (SELECT id, kind, state, data, recipient
              FROM deliveries
             WHERE queue::text = $1::text AND state <= 'sent'
             ORDER BY id DESC
             LIMIT 1000) AS d
), shapes AS (
    SELECT DISTINCT ON (kind, names) id, kind, mail, data
      FROM recent
     WHERE waits OR id IN (SELECT max(id) FROM recent GROUP BY kind)
     ORDER BY kind, names, id DESC
), issued AS (
    SELECT DISTINCT ON (i.list, i.template) i.id, i.list, i.template, true AS mail,
           coalesce(s.data, '{}') || coalesce(i.data, '{}') AS data
      FROM issues i
      LEFT JOIN LATERAL
           (SELECT data
              FROM (SELECT data FROM subscribers
                     WHERE list = i.list AND state = 'confirmed' ORDER BY id DESC LIMIT 1000) AS newest
             WHERE NOT EXISTS (SELECT FROM jsonb_each_text(i.filter) AS f
                                WHERE newest.data ->> f.key IS DISTINCT FROM f.value)
             ORDER BY cardinality(ARRAY(SELECT jsonb_object_keys(newest.data)))
             LIMIT 1) AS s ON true
     WHERE i.state IN ('publishing', 'paused') OR i.id IN (SELECT max(id) FROM issues GROUP BY list)
     ORDER BY i.list, i.template, i.id DESC
)
SELECT k.kind, k.number, coalesce(s.template, replace(k.kind, '.', '-')) AS template, k.path, k.sender,
       k.account_status IS NOT NULL AS of_account, l.unsubscribe, s.mail, s.data::text AS data
  FROM kinds k
  LEFT JOIN lists l ON l.list = k.kind
 CROSS JOIN LATERAL
       (SELECT template, id, mail, data FROM issued WHERE issued.list = k.kind
         UNION ALL
        (SELECT k.template, latest.id, latest.mail, latest.data
           FROM (SELECT) AS one
           LEFT JOIN (SELECT id, mail, data FROM shapes
                       WHERE shapes.kind = k.kind AND l.list IS NULL ORDER BY id DESC LIMIT 5) AS latest
             ON true
          WHERE l.list IS NULL
             OR k.template IS NOT NULL
                AND k.template NOT IN (SELECT template FROM issued WHERE list = k.kind))
       ) AS s
 WHERE k.queue::text = $1::text AND k.kind NOT IN (SELECT list || '.test' FROM lists)
 ORDER BY k.number, k.kind, s.template, s.id DESC
