-- mailroom:ended
-- How many deliveries of queue $1 failed and nobody gave up, how many a person did; how many expired that
-- could have been sent, how many that were not to be until then; and how many a newer one took the place of.
-- Index: deliveries_state_idx.
SELECT count(*) FILTER (WHERE state = 'failed' AND cause IS DISTINCT FROM 'dropped') AS failed,
       count(*) FILTER (WHERE state = 'failed' AND cause = 'dropped') AS dropped,
       count(*) FILTER (WHERE state = 'expired' AND (cause IN ('ineligible', 'limited')) IS NOT TRUE)
           AS expired,
       count(*) FILTER (WHERE state = 'expired' AND cause IN ('ineligible', 'limited')) AS ineligible,
       count(*) FILTER (WHERE state = 'superseded') AS superseded
  FROM deliveries
 WHERE queue = $1::text::job_type AND state IN ('failed', 'expired', 'superseded')
