-- mailroom:import
-- Puts subscribers on list $1, confirmed: arrays of equal length of $2 address, $3 locale, $4 subject,
-- $5 data. Who is on it already has what is said here, the last time if that is more than once. Gives
-- the places, from 0, of those that are not taken: they left, or are suppressed.
-- Index: subscribers_address_idx (list, lower(address)).
WITH given AS MATERIALIZED (
    SELECT DISTINCT ON (lower(address)) *
      FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
           AS g (address, locale, subject, data, place)
     ORDER BY lower(address), place DESC
),
written AS (
    INSERT INTO subscribers AS s
           (list, address, locale, subject, data, state, confirmed_at, how)
    SELECT $1::text, address, locale, subject, data::jsonb, 'confirmed', now(), 'import'
      FROM given
     ORDER BY place
    ON CONFLICT (list, lower(address)) DO UPDATE
       SET address = excluded.address, locale = excluded.locale, subject = excluded.subject,
           data = excluded.data, state = 'confirmed',
           confirmed_at = coalesce(s.confirmed_at, now()),
           changed_at = CASE s.state WHEN 'confirmed' THEN s.changed_at ELSE now() END,
           how = CASE s.state WHEN 'confirmed' THEN s.how ELSE 'import' END
     WHERE s.state IN ('pending', 'confirmed')
    RETURNING lower(address) AS address
)
SELECT g.place - 1 AS place,
       CASE s.state WHEN 'suppressed' THEN 'it is suppressed' ELSE 'it left the list' END AS why
  FROM unnest($2::text[]) WITH ORDINALITY AS g (address, place)
  LEFT JOIN subscribers s ON s.list = $1::text AND lower(s.address) = lower(g.address)
 WHERE lower(g.address) NOT IN (SELECT address FROM written)
