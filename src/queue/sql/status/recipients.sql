-- mailroom:recipients
-- For whom at least $3 mails of queue $1 were asked for in the last hour, of the latest $2 mails of all queues:
-- what became of these, the latest of them, how many such people there are, and whether the hour had more than
-- $2 mails. The five with most.
-- Index: the primary keys.
WITH latest AS (
    SELECT id, queue, state, cause, recipient
      FROM (SELECT id, queue, state, cause, recipient, created_at
              FROM deliveries
             ORDER BY id DESC
             LIMIT $2::bigint) AS d
     WHERE created_at > now() - interval '1 hour'
)
SELECT min(coalesce(l.recipient, a.email)) AS address, count(*) AS asked,
       count(*) FILTER (WHERE l.state = 'sent') AS sent,
       count(*) FILTER (WHERE l.state = 'superseded') AS superseded,
       count(*) FILTER (WHERE l.state = 'pending' AND l.cause = 'limited') AS limited,
       max(l.id) AS latest, count(*) OVER () AS people,
       (SELECT count(*) FROM latest) = $2::bigint AS cut
  FROM latest l
  LEFT JOIN tokens t ON t.id = l.id AND l.recipient IS NULL
  LEFT JOIN accounts a ON a.id = t.account
 WHERE l.queue = $1::text::job_type
 GROUP BY lower(coalesce(l.recipient, a.email))
HAVING count(*) >= $3::bigint AND min(coalesce(l.recipient, a.email)) IS NOT NULL
 ORDER BY asked DESC, latest DESC
 LIMIT 5
