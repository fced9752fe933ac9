#!/bin/sh
# The HTTP binary mode of CloudEvents in JavaScript (cloudevents 10.0.0), 2026-11-28.
# Guess: with datacontenttype application/json every value of data is written as JSON.
# Fact: only objects are. A string goes out without quotes, which is no JSON although the
# content type says so, and a number stays a number and not text, so that a client which wants text as its
# body refuses it. In structured mode both are right.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund cloudevents@10.0.0 >/dev/null

cat >probe.mjs <<'PROBE'
import { CloudEvent, HTTP } from 'cloudevents';
for (const data of [{ a: 1 }, 'hello', 0]) {
    const event = new CloudEvent({ id: '1', source: '/s', type: 't', time: '2026-01-02T03:04:05Z', datacontenttype: 'application/json', data });
    const { headers, body } = HTTP.binary(event);
    console.log(headers['content-type'], typeof body, body, '|', JSON.stringify(JSON.parse(HTTP.structured(event).body).data));
}
PROBE
cat >expected <<'SEEN'
application/json string {"a":1} | {"a":1}
application/json string hello | "hello"
application/json number 0 | 0
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
