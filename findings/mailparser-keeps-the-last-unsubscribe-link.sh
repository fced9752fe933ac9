#!/bin/sh
# Reading List-Unsubscribe with mailparser 3.14.2 (npm), 2026-11-30.
# Guess: of several links of one kind the first is given, or all: RFC 2369 has them in the order in which the
# sender prefers them, and asks clients to take the first they can use.
# Fact: one of each kind is given, the last. Which of web and mail came first is not told either. Who unsubscribes
# or checks newsletters by `headers.get('list')` uses the sender's last resort; the header itself is only in
# `headerLines`. Nodemailer, of the same house, writes such headers, in order, from a nested list. The README of
# mailparser does not speak of `list`.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund mailparser@3.14.2 nodemailer@10.6.1 >/dev/null

cat >probe.mjs <<'PROBE'
import nodemailer from 'nodemailer';
import { simpleParser } from 'mailparser';
const transport = nodemailer.createTransport({ streamTransport: true, buffer: true });
const { message } = await transport.sendMail({
    from: 'news@example.com',
    to: 'reader@example.com',
    subject: 'News',
    text: 'News.',
    list: { unsubscribe: [[
        'https://news.example.com/one-click/7', 'leave-7@example.com?subject=leave',
        'https://www.example.com/log-in-first', 'office@example.com',
    ]] },
});
const parsed = await simpleParser(message);
const line = parsed.headerLines.find(({ key }) => key === 'list-unsubscribe').line;
console.log(line.replace(/\s+/g, ' ').replaceAll(', ', ',\n  '));
console.log(parsed.headers.get('list').unsubscribe);
PROBE
cat >expected <<'SEEN'
List-Unsubscribe: <https://news.example.com/one-click/7>,
  <mailto:leave-7@example.com?subject=leave>,
  <https://www.example.com/log-in-first>,
  <mailto:office@example.com>
{
  url: 'https://www.example.com/log-in-first',
  mail: 'office@example.com'
}
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
