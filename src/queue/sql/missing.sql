-- mailroom:missing
-- Which of the privileges that role $1 (NULL: the current one) needs it does not have. Arrays of
-- equal length say what is needed: $2 privilege, $3 table or function, $4 column (NULL: the whole table).
SELECT CASE WHEN bool_or(has)
            THEN format('%s (%s) on %s', privilege,
                        string_agg(part, ', ' ORDER BY place) FILTER (WHERE NOT has), relation)
            ELSE privilege || ' on ' || relation
       END AS missing
  FROM (SELECT privilege, relation, part, place,
               CASE WHEN privilege = 'EXECUTE'
                    THEN has_function_privilege(coalesce($1::name, current_user),
                                                relation::regproc, privilege)
                    WHEN part IS NULL
                    THEN has_table_privilege(coalesce($1::name, current_user), relation, privilege)
                    ELSE has_column_privilege(coalesce($1::name, current_user), relation, part,
                                              privilege)
               END AS has
          FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY
               AS needed (privilege, relation, part, place)) AS each
 GROUP BY privilege, relation
HAVING NOT bool_and(has)
 ORDER BY min(place)
