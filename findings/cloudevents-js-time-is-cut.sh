#!/bin/sh
# The time of an event in JavaScript (cloudevents 10.0.0), 2026-11-28.
# Guess: `time` is handed on as it came, since RFC 3339 text is what the format carries.
# Fact: it is cut to milliseconds and moved to UTC when an event is read or made. Events whose
# order is told by PostgreSQL's microseconds tie after they passed through it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund cloudevents@10.0.0 >/dev/null

cat >probe.mjs <<'PROBE'
import { HTTP } from 'cloudevents';
for (const time of ['2026-01-02T03:04:05.123456+02:00', '2026-01-02T03:04:05.123789+02:00']) {
    const body = JSON.stringify({ specversion: '1.0', id: '1', source: '/s', type: 't', time });
    console.log(HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body }).time);
}
PROBE
cat >expected <<'SEEN'
2026-01-02T01:04:05.123Z
2026-01-02T01:04:05.123Z
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
