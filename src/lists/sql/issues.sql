-- mailroom:issues
-- The issue with key $1; NULL: all that are under way.
-- Indexes: issues_key_key; deliveries_issue_idx, for what waits; deliveries_state_idx, for what failed;
-- the primary key of tallies.
SELECT * FROM (
    SELECT i.key, i.list, i.template, i.state::text AS state, i.total, i.enqueued,
           i.cursor < i.upto AS more,
           greatest(extract(epoch FROM i.not_before - now()), 0)::float8 AS starts,
           (SELECT coalesce(sum(sent), 0)::bigint FROM tallies WHERE issue = i.id) AS sent,
           (SELECT coalesce(sum(sent), 0)::bigint FROM tallies
             WHERE issue = i.id AND minute >= date_trunc('minute', now()) - interval '5 minutes'
               AND minute < date_trunc('minute', now())) / 300.0::float8 AS rate,
           (SELECT count(*) FROM deliveries
             WHERE issue = i.id AND state IN ('pending', 'leased')) AS waiting,
           (SELECT count(*) FROM deliveries d
             WHERE d.queue = k.queue AND d.state = 'failed' AND d.issue = i.id) AS failed,
           i.id
      FROM issues i
      JOIN kinds k ON k.kind = i.list
     WHERE $1::text IS NULL AND i.key NOT LIKE 'test %' OR i.key = $1
) AS known
 WHERE $1::text IS NOT NULL OR state IN ('publishing', 'paused') OR waiting > 0
 ORDER BY id
