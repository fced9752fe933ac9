-- mailroom:room
-- How many more recipients there may be, if $1 is the limit of any 24 hours. What is leased, by
-- whomever, counts as sent until it is settled. All queues, as in sent.sql.
-- Index: the primary key of tallies (queue, minute, writer);
-- deliveries_lease_idx (queue, due_at) WHERE state = 'leased'.
SELECT greatest(0, $1::bigint - coalesce(sum(t.sent + l.leased), 0))::bigint AS room
  FROM unnest(enum_range(NULL::job_type)) AS q (queue),
       LATERAL (SELECT coalesce(sum(sent), 0) AS sent
                  FROM tallies
                 WHERE queue = q.queue AND minute > now() - interval '24 hours 1 minute') AS t,
       LATERAL (SELECT count(*) AS leased
                  FROM deliveries
                 WHERE queue = q.queue AND state = 'leased') AS l
