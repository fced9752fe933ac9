#!/bin/sh
# What matching one pattern against 100,000 short texts costs, PostgreSQL 15.18 (Debian 12), 2026-11-29.
# Guess: the compiled pattern is cached, so what is left is to read some 20 characters of each text; to join
# the texts by line feeds and to match the pattern, repeated, against all of it could only cost more.
# Fact: what is cached are the instructions. The states of the automaton are built while it runs, and thrown
# away after each match: three quarters of the instructions of a match. Matched one by one, the addresses
# took 51 ms, a look whether there is a text at all 6; joined and matched at once 19, joining included.
# Needs the server programs of PostgreSQL 15 (Debian: postgresql-15, not started).
set -eu
bin=/usr/lib/postgresql/15/bin
dir=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
end() {
    as $bin/pg_ctl -s -m immediate -D "$dir/run/data" stop || true
    rm -rf "$dir"
}
trap end EXIT
chmod 755 "$dir"
mkdir "$dir/run"
[ "$(id -u)" != 0 ] || chown nobody "$dir/run"
as $bin/initdb -U postgres -A trust -N -D "$dir/run/data" >/dev/null
as sh -c "printf '%s\n' \"listen_addresses = ''\" \"unix_socket_directories = '$dir/run'\" 'fsync = off' \
    >>'$dir/run/data/postgresql.conf'"
as $bin/pg_ctl -w -s -D "$dir/run/data" -l "$dir/run/log" start

psql -X -q -A -t -h "$dir/run" -U postgres <<'SQL' >"$dir/seen"
SET max_parallel_workers_per_gather = 0;
CREATE TEMPORARY TABLE texts AS SELECT 'user' || i || '@example.com' AS text FROM generate_series(1, 100000) i;
CREATE TEMPORARY TABLE taken (what text, ms float8, found bigint);
DO $$
DECLARE
    begun timestamptz; found bigint; joined text;
BEGIN
    FOR turn IN 1..9 LOOP
        begun := clock_timestamp();
        SELECT count(*) INTO found FROM texts WHERE text IS NOT NULL;
        INSERT INTO taken VALUES ('none', extract(epoch FROM clock_timestamp() - begun) * 1000, found);
        begun := clock_timestamp();
        SELECT count(*) INTO found FROM texts WHERE text ~ '^[^[:cntrl:]]+@[^[:cntrl:][:space:]@]+$';
        INSERT INTO taken VALUES ('each', extract(epoch FROM clock_timestamp() - begun) * 1000, found);
        begun := clock_timestamp();
        SELECT string_agg(text, E'\n') || E'\n' INTO joined FROM texts;
        found := (joined ~ E'^(?:[^[:cntrl:]]+@[^[:cntrl:][:space:]@]+\n)*$')::integer * 100000;
        INSERT INTO taken VALUES ('joined', extract(epoch FROM clock_timestamp() - begun) * 1000, found);
    END LOOP;
END $$;
CREATE TEMPORARY TABLE best AS SELECT what, min(ms) AS ms, min(found) AS found FROM taken GROUP BY 1;
\o /dev/stderr
SELECT what || ': ' || round(ms::numeric) || ' ms' FROM best ORDER BY 1;
\o
SELECT concat_ws(E'\n',
           'all found each way: ' || (SELECT bool_and(found = 100000) FROM best),
           'one by one at least 2 times joined: ' || (e.ms >= 2 * j.ms),
           'one by one at least 3 times no match: ' || (e.ms >= 3 * n.ms))
  FROM best e, best j, best n
 WHERE e.what = 'each' AND j.what = 'joined' AND n.what = 'none';
SQL
cat "$dir/seen"
cat >"$dir/expected" <<'SEEN'
all found each way: true
one by one at least 2 times joined: true
one by one at least 3 times no match: true
SEEN
if ! diff "$dir/expected" "$dir/seen"; then
    echo "this is not what was seen then" >&2
    exit 1
fi
