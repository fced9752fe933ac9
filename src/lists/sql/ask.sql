-- mailroom:ask
-- Asks addresses by mail whether they want to be on list $1: arrays of equal length of $2 address,
-- $3 locale, $4 subject, $5 data. Whoever is on it is not asked; nobody is told who that is.
SELECT g.place AS place, ''::text AS why
  FROM (SELECT 0::bigint AS place,
               count(subscribe($1::text, address, data::jsonb, locale, subject)::text) AS asked
          FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
               AS each (address, locale, subject, data)) AS g
 WHERE g.asked < 0
