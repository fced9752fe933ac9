-- mailroom:sent_when
-- How many deliveries of queue $1 were sent: ever, in the last day, and in each five minutes of
-- the last hour, the earliest first. The minute that is under way counts as one.
-- Index: the primary key of tallies (queue, minute, writer).
SELECT coalesce(sum(sent), 0)::bigint AS ever,
       coalesce(sum(sent) FILTER (WHERE minute > date_trunc('minute', now()) - interval '24 hours'),
                0)::bigint AS day,
       ARRAY(SELECT coalesce(sum(t.sent), 0)::bigint
               FROM generate_series(11, 0, -1) AS back
               LEFT JOIN tallies t
                      ON t.queue = $1::text::job_type
                     AND t.minute > date_trunc('minute', now()) - 5 * (back + 1) * interval '1 minute'
                     AND t.minute <= date_trunc('minute', now()) - 5 * back * interval '1 minute'
              GROUP BY back
              ORDER BY back DESC) AS hour
  FROM tallies
 WHERE queue = $1::text::job_type
