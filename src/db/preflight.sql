-- What is missing for a process that works on queue $1: the queue, and privileges. Arrays of
-- equal length say what is needed: $2 privilege, $3 table, $4 column (NULL: the whole table).
SELECT EXISTS (SELECT FROM jobs WHERE job_type::text = $1) AS queue,
       ARRAY(SELECT CASE WHEN every(has) THEN NULL
                         WHEN bool_or(has)
                         THEN format('%s (%s) on %s', privilege,
                                     string_agg(part, ', ' ORDER BY place) FILTER (WHERE NOT has),
                                     relation)
                         ELSE privilege || ' on ' || relation
                    END
               FROM (SELECT privilege, relation, part, place,
                            CASE WHEN part IS NULL THEN has_table_privilege(relation, privilege)
                                 ELSE has_column_privilege(relation, part, privilege)
                            END AS has
                       FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY
                            AS needed (privilege, relation, part, place)) AS each
              GROUP BY privilege, relation
             HAVING NOT every(has)
              ORDER BY min(place)) AS missing
