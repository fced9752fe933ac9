-- mailroom:room
-- How many more recipients there may be, if $1 is the limit of any 24 hours. In `room` what is leased,
-- by whomever, counts as sent until it is settled; in `unleased` it does not. All queues: the provider's
-- limit is that of the account.
-- Index: the primary key of tallies (queue, minute, writer);
-- deliveries_state_idx (queue, state, due_at) WHERE state > 'pending'.
SELECT greatest(0, $1::bigint - coalesce(sum(t.sent + l.leased), 0))::bigint AS room,
       greatest(0, $1::bigint - coalesce(sum(t.sent), 0))::bigint AS unleased
  FROM unnest(enum_range(NULL::job_type)) AS q (queue),
       LATERAL (SELECT coalesce(sum(sent), 0) AS sent
                  FROM tallies
                 WHERE queue = q.queue AND minute > now() - interval '24 hours 1 minute') AS t,
       LATERAL (SELECT count(*) AS leased
                  FROM deliveries
                 WHERE queue = q.queue AND state = 'leased') AS l
