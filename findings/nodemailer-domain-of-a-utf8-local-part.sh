#!/bin/sh
# Writing internationalized addresses with nodemailer 10.6.1, 2026-11-28.
# Guess: the domain of an address is written the same way whatever stands before the @.
# Fact: with an ASCII local part the domain is turned into its xn-- form; with any other local
# part it is left as it was typed. Lists that compare domains as text see two domains.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund nodemailer@10.6.1 >/dev/null

cat >probe.mjs <<'PROBE'
import nodemailer from 'nodemailer';
const transport = nodemailer.createTransport({ streamTransport: true, buffer: true });
for (const to of ['b@b\u00fccher.example', 'b\u00fc@b\u00fccher.example']) {
    const { message } = await transport.sendMail({ from: 'a@example.com', to, text: 'x' });
    console.log(message.toString().match(/^To:.*$/m)[0].trim());
}
PROBE
cat >expected <<'SEEN'
To: b@xn--bcher-kva.example
To: bü@bücher.example
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
