-- mailroom:waiting
-- What waits in queue $1 or is being sent, by its kind and the cause for which it waits, with the text
-- that most of them have, or the name of the cause. What waits for one of the causes $2 has been due since
-- it was made: each try puts it off again.
-- Indexes: deliveries_claim_idx, deliveries_state_idx.
SELECT kind, CASE WHEN state = 'pending' THEN cause::text END AS cause,
       coalesce(mode() WITHIN GROUP (ORDER BY error) FILTER (WHERE cause IS NOT NULL), max(cause::text)) AS why,
       count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'pending' AND due_at <= now()) AS due,
       count(*) FILTER (WHERE state = 'pending' AND attempts > 0) AS retrying,
       count(*) FILTER (WHERE state = 'leased') AS leased,
       round(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'pending'))::numeric, 3)::float8
           AS oldest_pending,
       round(extract(epoch FROM now() - min(
               CASE WHEN cause = ANY ($2::text[]::delivery_cause[]) THEN created_at ELSE due_at END)
           FILTER (WHERE due_at <= now() OR cause = ANY ($2::text[]::delivery_cause[])))::numeric, 3)::float8
           AS oldest_due
  FROM (SELECT kind, state, cause, error, attempts, created_at, due_at
          FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'pending'
         UNION ALL
        SELECT kind, state, NULL, NULL, attempts, created_at, due_at
          FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'leased') AS waiting
 GROUP BY 1, 2
 ORDER BY 4 DESC, 1, 2
