-- How many recipients were sent to in the last 24 hours, by slots of ten minutes; slot 0 is the
-- latest. All queues: the provider's limit is that of the account.
-- Index: deliveries_settled_idx (settled_at) WHERE state IN ('sent', 'failed', 'expired').
SELECT slot, count(*) AS sent
  FROM (SELECT greatest(0, floor(extract(epoch FROM now() - settled_at)::float8 / 600))::int AS slot
          FROM deliveries
         WHERE state IN ('sent', 'failed', 'expired') AND state = 'sent'
           AND settled_at > now() - interval '24 hours') AS recent
 GROUP BY slot
