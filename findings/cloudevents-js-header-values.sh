#!/bin/sh
# The HTTP binary mode of CloudEvents in JavaScript (cloudevents 10.0.0), 2026-11-28.
# Guess: attributes with spaces or letters outside ASCII are percent-encoded in headers, as the
# HTTP binding's section on header values asks, and decoded when read; the Python SDK 2.2.0 does.
# Fact: neither. They are written raw, and an encoded one is handed on encoded: a subject
# `a bü` that arrives from a conforming sender reads `a%20b%C3%BC`.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund cloudevents@10.0.0 >/dev/null

cat >probe.mjs <<'PROBE'
import { CloudEvent, HTTP } from 'cloudevents';
const written = HTTP.binary(new CloudEvent({ id: '1', source: '/s', type: 't', subject: 'a b\u00fc' }));
console.log('written:', written.headers['ce-subject']);
const read = HTTP.toEvent({
    headers: { 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't', 'ce-specversion': '1.0', 'ce-subject': 'a%20b%C3%BC' },
    body: '',
});
console.log('read:', read.subject);
PROBE
cat >expected <<'SEEN'
written: a bü
read: a%20b%C3%BC
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
