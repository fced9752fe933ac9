#!/bin/sh
# A daily job after the hour that the autumn clock change doubles: cron 4.4.0 (npm, of kelektiv), with its release
# 4.1.0 and 5.0.0-beta.2 beside it, by the clock of @sinonjs/fake-timers 15.4.0, 2026-11-30.
# Guess: once a day at the hour it names. Only times within the doubled hour, in Berlin from two to three at night,
# are in doubt; at 03:15 one is out of that.
# Fact: in the hour after the doubled one it goes off twice, first at the second 02:15, a time that the expression
# does not name, then at 03:15. Within the doubled hour, at 02:30, it goes off once. So has it been from 4.1.1, which
# moves a time back by an hour where the clock shows the hour before it twice; 4.1.0 did it right, the next major
# release's beta does it too. Who plans a daily newsletter at three to keep clear of the clock change (in London and
# New York at two) has it sent twice. No page or issue was found that says so: the notes of 4.1.1 tell of a job that
# was missed at this change, and an open issue (1087) of nextDates(), which runs backwards within the doubled hour; it
# says that running jobs are not concerned. @nestjs/schedule 12.0.2 runs on cron 4.4.0.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund cron@4.4.0 before@npm:cron@4.1.0 after@npm:cron@5.0.0-beta.2 \
    @sinonjs/fake-timers@15.4.0 luxon@3.7.2 >/dev/null

cat >probe.mjs <<'PROBE'
import { install } from '@sinonjs/fake-timers';
import { DateTime } from 'luxon';
const days = (CronJob, cronTime, timeZone, start, length) => {
    const clock = install({ now: Date.parse(start), toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const sent = [];
    const job = CronJob.from({ cronTime, timeZone, start: true, onTick: () => sent.push(Date.now()) });
    clock.tick(length * 86_400_000);
    job.stop();
    clock.uninstall();
    return sent.map((time) => DateTime.fromMillis(time, { zone: timeZone }).toFormat('d. HH:mm ZZ')).join(', ');
};
for (const [name, release] of [['before', '4.1.0'], ['cron', '4.4.0'], ['after', '5.0.0-beta.2']]) {
    const { CronJob } = await import(name);
    console.log(release);
    for (const [cronTime, timeZone, start] of [
        ['15 3 * * *', 'Europe/Berlin', '2026-10-23T12:00:00Z'],
        ['30 2 * * *', 'Europe/Berlin', '2026-10-23T12:00:00Z'],
        ['0 4 * * *', 'Europe/Berlin', '2026-10-23T12:00:00Z'],
        ['0 2 * * *', 'Europe/London', '2026-10-23T12:00:00Z'],
        ['30 2 * * *', 'America/New_York', '2026-10-30T12:00:00Z'],
    ]) console.log(`  ${timeZone} ${cronTime}: ${days(CronJob, cronTime, timeZone, start, 3)}`);
}
PROBE
cat >expected <<'SEEN'
4.1.0
  Europe/Berlin 15 3 * * *: 24. 03:15 +02:00, 25. 03:15 +01:00, 26. 03:15 +01:00
  Europe/Berlin 30 2 * * *: 24. 02:30 +02:00, 25. 02:30 +02:00, 26. 02:30 +01:00
  Europe/Berlin 0 4 * * *: 24. 04:00 +02:00, 25. 04:00 +01:00, 26. 04:00 +01:00
  Europe/London 0 2 * * *: 24. 02:00 +01:00, 25. 02:00 +00:00, 26. 02:00 +00:00
  America/New_York 30 2 * * *: 31. 02:30 -04:00, 1. 02:30 -05:00, 2. 02:30 -05:00
4.4.0
  Europe/Berlin 15 3 * * *: 24. 03:15 +02:00, 25. 02:15 +01:00, 25. 03:15 +01:00, 26. 03:15 +01:00
  Europe/Berlin 30 2 * * *: 24. 02:30 +02:00, 25. 02:30 +02:00, 26. 02:30 +01:00
  Europe/Berlin 0 4 * * *: 24. 04:00 +02:00, 25. 04:00 +01:00, 26. 04:00 +01:00
  Europe/London 0 2 * * *: 24. 02:00 +01:00, 25. 01:00 +00:00, 25. 02:00 +00:00, 26. 02:00 +00:00
  America/New_York 30 2 * * *: 31. 02:30 -04:00, 1. 01:30 -05:00, 1. 02:30 -05:00, 2. 02:30 -05:00
5.0.0-beta.2
  Europe/Berlin 15 3 * * *: 24. 03:15 +02:00, 25. 02:15 +01:00, 25. 03:15 +01:00, 26. 03:15 +01:00
  Europe/Berlin 30 2 * * *: 24. 02:30 +02:00, 25. 02:30 +02:00, 26. 02:30 +01:00
  Europe/Berlin 0 4 * * *: 24. 04:00 +02:00, 25. 04:00 +01:00, 26. 04:00 +01:00
  Europe/London 0 2 * * *: 24. 02:00 +01:00, 25. 01:00 +00:00, 25. 02:00 +00:00, 26. 02:00 +00:00
  America/New_York 30 2 * * *: 31. 02:30 -04:00, 1. 01:30 -05:00, 1. 02:30 -05:00, 2. 02:30 -05:00
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
