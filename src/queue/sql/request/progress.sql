-- mailroom:progress
-- How far mail $1 has come, as an application may see it. Index: the primary keys.
SELECT state::text AS state, coalesce(cause::text, '') AS cause,
       coalesce(provider_id, '') AS provider_id
  FROM mails
 WHERE id = $1
