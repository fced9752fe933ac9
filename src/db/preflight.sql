-- What is missing for a process that works on queue $1: the queue, and privileges.
-- $2: whether settled rows will be deleted.
SELECT EXISTS (SELECT FROM jobs WHERE job_type::text = $1) AS queue,
       ARRAY(SELECT right_needed || ' on ' || table_name
               FROM (VALUES ('SELECT', 'deliveries'), ('UPDATE', 'deliveries'),
                            ('DELETE', CASE WHEN $2::bool THEN 'deliveries' END),
                            ('SELECT', 'tokens'), ('SELECT', 'accounts'), ('SELECT', 'actions'),
                            ('SELECT', 'jobs'), ('UPDATE', 'jobs'))
                    AS needed (right_needed, table_name)
              WHERE table_name IS NOT NULL
                AND NOT has_table_privilege(table_name, right_needed)) AS missing
