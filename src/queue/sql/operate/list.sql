-- The first $3 deliveries of queue $1 in each of the states $2: what waits in the order of
-- claims, what is settled from the latest.
-- Indexes: deliveries_wake_idx, deliveries_claim_idx, deliveries_ended_idx,
-- deliveries_settled_idx (queue, settled_at) for what was sent, and the primary keys. Ages are told
-- apart as numbers: moments may be infinite, and those cannot be subtracted.
WITH found AS MATERIALIZED (
    (SELECT token, 1 AS part, row_number() OVER (ORDER BY due_at) AS place
       FROM deliveries
      WHERE 'leased' = ANY ($2::text[]) AND queue = $1::text::job_type
        AND state = 'leased' AND state IN ('pending', 'leased')
      ORDER BY due_at LIMIT $3::bigint)
    UNION ALL
    (SELECT token, 2, row_number() OVER (ORDER BY priority, due_at, token)
       FROM deliveries
      WHERE 'pending' = ANY ($2::text[]) AND queue = $1::text::job_type AND state = 'pending'
      ORDER BY priority, due_at, token LIMIT $3::bigint)
    UNION ALL
    (SELECT token, 3, row_number() OVER (ORDER BY settled_at DESC)
       FROM deliveries
      WHERE 'failed' = ANY ($2::text[]) AND queue = $1::text::job_type AND state = 'failed'
      ORDER BY settled_at DESC LIMIT $3::bigint)
    UNION ALL
    (SELECT token, 4, row_number() OVER (ORDER BY settled_at DESC)
       FROM deliveries
      WHERE 'expired' = ANY ($2::text[]) AND queue = $1::text::job_type AND state = 'expired'
      ORDER BY settled_at DESC LIMIT $3::bigint)
    UNION ALL
    (SELECT token, 5, row_number() OVER (ORDER BY settled_at DESC)
       FROM deliveries
      WHERE 'sent' = ANY ($2::text[]) AND queue = $1::text::job_type
        AND state = 'sent' AND state IN ('sent', 'failed', 'expired')
      ORDER BY settled_at DESC LIMIT $3::bigint)
)
SELECT d.token AS id, d.queue::text AS queue, d.state::text AS state, d.attempts, d.priority,
       t.action::text AS action, t.account, a.email, a.login, a.status::text AS status,
       coalesce(d.lease, '') AS lease, coalesce(d.provider_id, '') AS provider_id,
       coalesce(d.error, '') AS error, t.consumed_at IS NOT NULL AS consumed,
       extract(epoch FROM now())::float8 - extract(epoch FROM d.created_at)::float8 AS created,
       extract(epoch FROM now())::float8 - extract(epoch FROM d.due_at)::float8 AS due,
       extract(epoch FROM now())::float8 - extract(epoch FROM d.settled_at)::float8 AS settled,
       (extract(epoch FROM now()) - t.expires_at)::float8 AS expires
  FROM found f
  JOIN deliveries d USING (token)
  JOIN tokens t ON t.id = d.token
  JOIN accounts a ON a.id = t.account
 ORDER BY f.part, f.place
 LIMIT $3::bigint
