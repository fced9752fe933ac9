-- mailroom:pause
-- Pauses ($2) queue $1, for reason $3, or lets it go on. A second pause keeps the first moment, and
-- the reason unless it has one.
-- Gives whether it was paused before. Index: the primary key of jobs.
WITH before AS MATERIALIZED (
    SELECT paused_at FROM jobs WHERE job_type = $1::text::job_type FOR UPDATE
),
changed AS (
    UPDATE jobs j
       SET paused_at = CASE WHEN $2::bool THEN coalesce(j.paused_at, now()) END,
           paused_reason = CASE WHEN $2::bool THEN coalesce(nullif($3::text, ''), j.paused_reason) END
      FROM before
     WHERE j.job_type = $1::text::job_type
    RETURNING 1
)
SELECT before.paused_at IS NOT NULL AS paused FROM before, changed
