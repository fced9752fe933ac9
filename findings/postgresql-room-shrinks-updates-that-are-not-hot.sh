#!/bin/sh
# What fillfactor does for updates that change an indexed column, PostgreSQL 15.18 (Debian 12), 2026-11-29.
# Guess: nothing. Room on a page is for HOT updates, and these cannot be HOT: each writes the whole new row
# to the log, wherever it goes.
# Fact: none was HOT, and yet a row of 1 KB wrote 223 bytes of log an update where its page had room, and
# 1,241 where it had none. An update that stays on its page logs what differs between the old row and the
# new one, HOT or not. After two updates of each row the table with half-empty pages was the smaller one,
# too: 1,667 pages, 2,074 without room. A queue changes the state of each row twice, after many were
# inserted at once.
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
    'max_wal_size = 4GB' 'checkpoint_timeout = 1h' >>'$dir/run/data/postgresql.conf'"
as $bin/pg_ctl -w -s -D "$dir/run/data" -l "$dir/run/log" start

psql -X -q -A -t -h "$dir/run" -U postgres <<'SQL' >"$dir/seen"
CREATE TABLE full_pages (id bigint PRIMARY KEY, state integer, data text);
CREATE TABLE half_pages (id bigint PRIMARY KEY, state integer, data text) WITH (fillfactor = 50);
CREATE INDEX ON full_pages (state);
CREATE INDEX ON half_pages (state);
CREATE TABLE taken (what regclass, log numeric, pages bigint);
-- 5,000 rows, then two states for each, 50 in a transaction.
CREATE PROCEDURE measure(what regclass) LANGUAGE plpgsql AS $$
DECLARE
    begun pg_lsn;
BEGIN
    EXECUTE format('INSERT INTO %s SELECT i, 0, (SELECT string_agg(md5((100 * i + j)::text), '''') '
                   'FROM generate_series(1, 31) j) FROM generate_series(1, 5000) i', what);
    COMMIT;
    begun := pg_current_wal_insert_lsn();
    FOR state IN 1..2 LOOP
        FOR batch IN 0..99 LOOP
            EXECUTE format('UPDATE %s SET state = $1 WHERE id BETWEEN $2 AND $3', what)
                USING state, 50 * batch + 1, 50 * batch + 50;
            COMMIT;
        END LOOP;
    END LOOP;
    INSERT INTO taken
    VALUES (what, (pg_current_wal_insert_lsn() - begun) / 10000, pg_relation_size(what) / 8192);
    COMMIT;
END $$;
CALL measure('full_pages');
CALL measure('half_pages');
SELECT pg_stat_force_next_flush() \g /dev/null
\o /dev/stderr
SELECT what, round(log) || ' bytes of log an update, ' || pages || ' pages' FROM taken;
\o
SELECT 'HOT updates of 20000: ' || sum(n_tup_hot_upd)
  FROM pg_stat_user_tables WHERE relname IN ('full_pages', 'half_pages') HAVING sum(n_tup_upd) = 20000;
SELECT concat_ws(E'\n',
           'with room less than a third of the log: ' || (3 * h.log < f.log),
           'with room fewer pages in the end: ' || (h.pages < f.pages))
  FROM taken f, taken h
 WHERE f.what = 'full_pages'::regclass AND h.what = 'half_pages'::regclass;
SQL
cat "$dir/seen"
cat >"$dir/expected" <<'SEEN'
HOT updates of 20000: 0
with room less than a third of the log: true
with room fewer pages in the end: true
SEEN
if ! diff "$dir/expected" "$dir/seen"; then
    echo "this is not what was seen then" >&2
    exit 1
fi
