#!/bin/sh
# What INSERT ... ON CONFLICT DO UPDATE of one counter reads, PostgreSQL 15.18 (Debian 12), 2026-11-30.
# Guess: the same pages each time. The row is found by its primary key, no indexed column changes, so each
# update is HOT, and all versions of the row hang together on a page; an old snapshot elsewhere costs space.
# Fact: without a snapshot 18 pages, after 20,000 updates as after 100. Beside a transaction in REPEATABLE READ
# that has read nothing but a constant 145 pages after 20,000, and each version on them is looked at. A version
# that does not fit on the page is not HOT and gets an index entry of its own, and the check for a conflict
# passes over all of them, from the oldest on: with 50,000 versions, pgbench took 0.56 ms an update where it
# took 0.14 for the first 10,000. A row for each second in place of one for each minute keeps a counter fast.
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
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$dir/run" -U postgres "$@"; }

sql <<'SQL'
CREATE TABLE counter (queue text, minute timestamptz, sent bigint, PRIMARY KEY (queue, minute));
CREATE PROCEDURE add(times integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..times LOOP
        INSERT INTO counter AS c VALUES ('mail', '2026-01-01', 1)
        ON CONFLICT (queue, minute) DO UPDATE SET sent = c.sent + 1;
        COMMIT;
    END LOOP;
END $$;
SQL
# Pages that one more reads.
pages() {
    sql -c "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF, COSTS OFF) INSERT INTO counter AS c
            VALUES ('mail', '2026-01-01', 1) ON CONFLICT (queue, minute) DO UPDATE SET sent = c.sent + 1" |
        sed -n '1,/Buffers/s/.*Buffers: shared hit=\([0-9]*\).*/\1/p'
}
measure() {
    sql -c 'CALL add(100)'
    few=$(pages)
    sql -c 'CALL add(19900)'
    many=$(pages)
    echo "$1: $few pages after 100 updates, $many after 20,000" >&2
}
measure 'no snapshot'
alone=$many
sql -c 'TRUNCATE counter'
sql -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT 1' -c 'SELECT pg_sleep(3600)' >/dev/null 2>&1 &
until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)%' AND state = 'active'
                   AND pid <> pg_backend_pid()")" = 1 ]; do sleep 0.1; done
measure 'beside a snapshot'
if [ "$alone" -gt 30 ] || [ "$few" -gt 30 ] || [ "$many" -lt 100 ]; then
    echo "this is not what was seen then" >&2
    exit 1
fi
echo "as told"
