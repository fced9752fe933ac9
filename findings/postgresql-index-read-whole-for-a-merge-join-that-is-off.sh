#!/bin/sh
# How a prepared UPDATE finds rows by their ids, PostgreSQL 15.18 (Debian 12), 2026-11-29.
# Guess: where sequential scans, hash and merge joins are switched off, a join with a list of ids can only
# look each of them up by the primary key; so a plan made while the table is small is as good later.
# Fact: planned on a table of one row after a vacuum, it reads the whole index of the primary key and
# compares each row with each id, and goes on so when the table has 100,000 rows: 4,999,950 comparisons for
# 50 ids, until something has the statement planned again. The scan in the order of ids is thought of for a
# merge join, though that is off, and costs as much as one look. d.id = ANY (ARRAY[o.id]) finds the same
# rows, is of no use to a merge join, and leaves the look by the key as the only way.
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
as sh -c "printf '%s\n' \"listen_addresses = ''\" \"unix_socket_directories = '$dir/run'\" 'autovacuum = off' \
    >>'$dir/run/data/postgresql.conf'"
as $bin/pg_ctl -w -s -D "$dir/run/data" -l "$dir/run/log" start

psql -X -q -A -t -h "$dir/run" -U postgres <<'SQL' >"$dir/plans"
CREATE TABLE mails (id bigint PRIMARY KEY, state integer);
INSERT INTO mails VALUES (1, 0);
VACUUM ANALYZE mails;
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET plan_cache_mode = force_generic_plan;
PREPARE equal AS UPDATE mails d SET state = 1 FROM (SELECT id FROM unnest($1::bigint[]) id LIMIT $2::int) o WHERE d.id = o.id;
PREPARE listed AS UPDATE mails d SET state = 1 FROM (SELECT id FROM unnest($1::bigint[]) id LIMIT $2::int) o WHERE d.id = ANY (ARRAY[o.id]);
EXECUTE equal ('{1}', 1);
EXECUTE listed ('{1}', 1);
INSERT INTO mails SELECT i, 0 FROM generate_series(2, 100000) i;
CREATE FUNCTION ids() RETURNS text LANGUAGE sql AS $$ SELECT array_agg(i * 2000)::text FROM generate_series(1, 50) i $$;
SELECT format('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE %s (%L, 50)', name, ids())
  FROM unnest('{equal,listed}'::text[]) name \gexec
SQL
cat "$dir/plans" >&2
{
    grep -c 'Rows Removed by Join Filter: 4999950' "$dir/plans" || true
    grep -c 'Index Cond: (id = ANY (ARRAY\[o.id\]))' "$dir/plans" || true
} >"$dir/seen"
cat "$dir/seen"
printf '%s\n' 1 1 >"$dir/expected"
if ! diff "$dir/expected" "$dir/seen"; then
    echo "this is not what was seen then" >&2
    exit 1
fi
