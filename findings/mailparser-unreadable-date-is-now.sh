#!/bin/sh
# Reading mail with mailparser 3.14.2 (npm), 2026-11-28.
# Guess: a Date header that is no date gives no date, as a missing one does.
# Fact: it gives the time of reading. A missing header gives none. A bounce reader that trusts
# `date` orders such a mail last each time it is read, and cannot tell that the header was bad.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund mailparser@3.14.2 >/dev/null

cat >probe.mjs <<'PROBE'
import { simpleParser } from 'mailparser';
const about = async (header) => {
    const before = Date.now();
    const { date } = await simpleParser(header + 'Subject: x\r\n\r\nbody');
    if (date === undefined) return 'none';
    return date.getTime() >= before && date.getTime() <= Date.now() ? 'the time of reading' : date.toISOString();
};
console.log('missing:', await about(''));
console.log('good:', await about('Date: Fri, 02 Jan 2026 03:04:05 +0200\r\n'));
console.log('unreadable:', await about('Date: yesterday evening\r\n'));
PROBE
cat >expected <<'SEEN'
missing: none
good: 2026-01-02T01:04:05.000Z
unreadable: the time of reading
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
