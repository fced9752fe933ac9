#!/bin/sh
# Reading an answer whose text is format=flowed (RFC 3676) with postal-mime 4.0.0 and mailparser 3.14.2 (npm),
# both of the same house, 2026-11-30.
# Guess: both join flowed lines, and take the quote marks off a line before they join it to the one before it.
# Fact: mailparser does. postal-mime joins the raw lines: the marks of all but the first line stay in the middle
# of the quoted text, "of > March". Its lines that begin with ">" are still quotes, so who strips quotes by
# lines loses nothing, but who compares a quote with what was sent, looks for an address or a ticket's number in
# it, or shows it, has marks between words. Unquoted lines are right in both. The change log of postal-mime
# tells that flowed text is unfolded, of quotes it says nothing.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund postal-mime@4.0.0 mailparser@3.14.2 >/dev/null

cat >probe.mjs <<'PROBE'
import PostalMime from 'postal-mime';
import { simpleParser } from 'mailparser';
const mail = [
    'From: reader@example.com',
    'Subject: Re: your order',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=us-ascii; format=flowed',
    '',
    'You wrote:',
    '> Your order of ',
    '> March is on its way.',
    '>> Where is ',
    '>> it?',
    '',
    'It has not ',
    'come.',
    '',
].join('\r\n');
console.log('mailparser: ', JSON.stringify((await simpleParser(mail)).text.trim()));
console.log('postal-mime:', JSON.stringify((await PostalMime.parse(mail)).text.trim()));
PROBE
cat >expected <<'SEEN'
mailparser:  "You wrote:\n> Your order of March is on its way.\n>> Where is it?\n\nIt has not come."
postal-mime: "You wrote:\n> Your order of > March is on its way.\n>> Where is >> it?\n\nIt has not come."
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
