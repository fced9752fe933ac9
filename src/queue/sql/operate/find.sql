-- mailroom:find
-- The latest $4 deliveries to address $1, whatever its case, in the states $3 and of queue $2 (NULL: of
-- any). No index is kept for this: it reads all of deliveries and accounts.
-- Index: tokens_account_fkey.
SELECT d.id
  FROM deliveries d
 WHERE (lower(d.recipient) = lower($1::text)
        OR d.recipient IS NULL
           AND d.id IN (SELECT t.id
                          FROM accounts a
                          JOIN tokens t ON t.account = a.id
                         WHERE lower(a.email) = lower($1::text)))
   AND ($2::text IS NULL OR d.queue = $2::text::job_type)
   AND d.state = ANY ($3::text[]::delivery_state[])
 ORDER BY d.created_at DESC, d.id DESC
 LIMIT $4::bigint
