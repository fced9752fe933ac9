-- mailroom:sent
-- How many recipients were sent to in the last 24 hours, by slots of ten minutes; slot 0 is the
-- latest. All queues: the provider's limit is that of the account.
-- Index: the primary key of tallies (queue, minute, writer).
SELECT greatest(0, floor(extract(epoch FROM now() - t.minute)::float8 / 600))::int AS slot,
       sum(t.sent)::bigint AS sent
  FROM unnest(enum_range(NULL::job_type)) AS q (queue)
  JOIN tallies t ON t.queue = q.queue AND t.minute > now() - interval '24 hours 1 minute'
 GROUP BY slot
