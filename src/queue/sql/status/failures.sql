-- mailroom:failures
-- Why deliveries of queue $1 failed: kinds and causes of the latest $2 that did, the most frequent first,
-- with the text that most of them have. What a person gave up is left out.
-- Index: deliveries_state_idx.
SELECT kind, coalesce(cause::text, '') AS cause,
       coalesce(mode() WITHIN GROUP (ORDER BY error), '') AS reason, count(*) AS count
  FROM (SELECT kind, cause, error
          FROM deliveries
         WHERE queue = $1::text::job_type AND state = 'failed' AND cause IS DISTINCT FROM 'dropped'
         ORDER BY due_at DESC
         LIMIT $2::bigint) AS latest
 GROUP BY 1, 2
 ORDER BY 4 DESC, 1, 2
