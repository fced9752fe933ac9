-- mailroom:ask
-- Asks addresses by mail whether they want to be on list $1: arrays of equal length of $2 address,
-- $3 locale, $4 subject, $5 data. Whoever is on it is not asked. Gives the places, from 0, of those that
-- are not either: they left, or are suppressed.
-- Index: subscribers_address_idx (list, lower(address)).
WITH given AS MATERIALIZED (
    SELECT g.*, s.state IN ('unsubscribed', 'suppressed') AS away, s.state
      FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
           AS g (address, locale, subject, data, place)
      LEFT JOIN subscribers s ON s.list = $1::text AND lower(s.address) = lower(g.address)
),
asked AS MATERIALIZED (
    SELECT count(subscribe($1::text, address, data::jsonb, locale, subject)::text) AS asked
      FROM given
     WHERE away IS NOT TRUE
)
SELECT place - 1 AS place,
       CASE state WHEN 'suppressed' THEN 'it is suppressed' ELSE 'it left the list' END AS why
  FROM given
 WHERE away AND (SELECT asked FROM asked) >= 0
