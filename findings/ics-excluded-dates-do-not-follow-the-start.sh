#!/bin/sh
# Leaving one meeting out of a series with ics 3.12.0 (npm), read by ical.js 2.2.1 (npm), 2026-12-01.
# Guess: exclusionDates is read and written as `start` is. With startInputType "utc" its times are UTC, with
# startOutputType "local" they are written without a zone, and in a series of whole days they are days.
# Fact: they are always read as times of the server's zone and written as UTC times. With startInputType "utc" on a
# server in Berlin the excluded time is an hour beside the meeting, so nothing is left out, and guests are invited
# to a meeting that is off; on a server in UTC it is right, so a test there does not show it. With startOutputType
# "local" the start has no zone and the excluded time is in UTC; whether they meet depends on the reader. For whole
# days the line has no VALUE=DATE, so its value is not valid: ical.js gives no date of the series at all, but an
# error. `end` follows `start`, as the README says. Of exclusionDates it says nothing of the kind (of recurrenceId
# it does say that it is local time), and no report was found. A number of milliseconds is right for UTC.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund ics@3.12.0 ical.js@2.2.1 >/dev/null

cat >probe.mjs <<'PROBE'
import ICAL from 'ical.js';
import { createEvent } from 'ics';
function dates(text) {
    const event = new ICAL.Event(new ICAL.Component(ICAL.parse(text)).getFirstSubcomponent('vevent'));
    const all = event.iterator();
    const seen = [];
    for (let date = all.next(); date; date = all.next()) seen.push(date.toString());
    return seen;
}
function show(title, event, read = true) {
    const { error, value } = createEvent({ title: 'Meeting', recurrenceRule: 'FREQ=WEEKLY;COUNT=3', ...event });
    if (error) throw error;
    console.log(title);
    for (const line of value.match(/^(DTSTART|DTEND|EXDATE).*$/gm)) console.log(`  ${line}`);
    if (!read) return;
    try {
        for (const date of dates(value)) console.log(`    ${date}`);
    } catch ({ message }) {
        console.log(`    ${message}`);
    }
}
const times = { start: [2026, 11, 30, 9, 0], end: [2026, 11, 30, 10, 0], exclusionDates: [[2026, 12, 7, 9, 0]] };
show('local time', times);
show('startInputType "utc"', { ...times, startInputType: 'utc' });
show('startInputType "utc", a number', {
    ...times, startInputType: 'utc', exclusionDates: [Date.UTC(2026, 11, 7, 9)],
});
show('startOutputType "local"', { ...times, startOutputType: 'local' }, false);
show('whole days', { start: [2026, 11, 30], end: [2026, 12, 1], exclusionDates: [[2026, 12, 7]] });
PROBE
cat >expected <<'SEEN'
local time
  DTSTART:20261130T080000Z
  DTEND:20261130T090000Z
  EXDATE:20261207T080000Z
    2026-11-30T08:00:00Z
    2026-12-14T08:00:00Z
startInputType "utc"
  DTSTART:20261130T090000Z
  DTEND:20261130T100000Z
  EXDATE:20261207T080000Z
    2026-11-30T09:00:00Z
    2026-12-07T09:00:00Z
    2026-12-14T09:00:00Z
startInputType "utc", a number
  DTSTART:20261130T090000Z
  DTEND:20261130T100000Z
  EXDATE:20261207T090000Z
    2026-11-30T09:00:00Z
    2026-12-14T09:00:00Z
startOutputType "local"
  DTSTART:20261130T090000
  DTEND:20261130T100000
  EXDATE:20261207T080000Z
whole days
  DTSTART;VALUE=DATE:20261130
  DTEND;VALUE=DATE:20261201
  EXDATE:20261207
    invalid date-time value: "2026-12-07T::"
SEEN
TZ=Europe/Berlin node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
