#!/bin/sh
# Signing a mail with a one-click unsubscribe link by mailauth 7.1.0, dkimpy 1.1.8 and
# nodemailer 10.6.1, each with the header list it signs by itself, 2026-11-29.
# Guess: a signer that covers List-Unsubscribe covers List-Unsubscribe-Post as well: RFC 8058 asks for both,
# and large mail providers have asked senders for one-click links since 2024.
# Fact: nodemailer alone does. mailauth and dkimpy sign List-Unsubscribe without its other half. The signature
# is good, yet by section 4 of RFC 8058 no receiver should offer one-click for such a mail: with these
# two the list must be given by hand.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund nodemailer@10.6.1 mailauth@7.1.0 >/dev/null
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install dkimpy==1.1.8

cat >probe.mjs <<'PROBE'
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import nodemailer from 'nodemailer';
import { dkimSign } from 'mailauth/lib/dkim/sign.js';
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = privateKey.export({ type: 'pkcs1', format: 'pem' });
writeFileSync('key.pem', key);
const mail = {
    from: 'a@example.com', to: 'b@example.com', subject: 'x', text: 'x',
    headers: { 'List-Unsubscribe': '<https://example.com/u>', 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' },
};
const built = (more) => nodemailer.createTransport({ streamTransport: true, buffer: true, ...more }).sendMail(mail);
const about = (name, signed) => {
    const names = signed.replace(/\r\n\s+/g, '').match(/\bh=([^;]*)/)[1].toLowerCase().split(/[\s:]+/);
    console.log(name, ...['list-unsubscribe', 'list-unsubscribe-post'].map((wanted) => names.includes(wanted)));
};
const { message } = await built({});
writeFileSync('mail.eml', message);
const dkim = { domainName: 'example.com', keySelector: 's', privateKey: key };
about('nodemailer', (await built({ dkim })).message.toString().split(/\r\n(?!\s)/)[0]);
const signatureData = [{ signingDomain: 'example.com', selector: 's', privateKey: key }];
about('mailauth', (await dkimSign(message, { signatureData })).signatures);
PROBE
cat >probe.py <<'PROBE'
import dkim
signer = dkim.DKIM(open("mail.eml", "rb").read())
signer.sign(b"s", b"example.com", open("key.pem", "rb").read())
names = [name.lower() for name, _ in signer.signed_headers]
print("dkimpy", *(str(wanted in names).lower() for wanted in (b"list-unsubscribe", b"list-unsubscribe-post")))
PROBE
cat >expected <<'SEEN'
nodemailer true true
mailauth true false
dkimpy true false
SEEN
{ node probe.mjs && venv/bin/python probe.py; } >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
