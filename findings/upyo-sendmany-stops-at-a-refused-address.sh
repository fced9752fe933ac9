#!/bin/sh
# Many mails by sendMany() of @upyo/smtp 0.4.0 with @upyo/core 0.4.0, to smtp-server 3.21.6 (npm), 2026-11-30.
# Guess: one receipt for each mail. That of a refused address says so, and the mails after it are sent: the page on
# the SMTP transport says in so many words that a failed mail does not keep the later ones from being sent.
# Fact: after the first refusal none is sent. All later receipts say that the connection is no longer valid, though
# the server kept it open; no new one is made, and the pool of five is not used. A newsletter ends at its first
# unknown address, for that run and for the next one in the same order. The receipts differ by their text only, so
# who takes a failed one for a bad address drops all readers after it. A send() for each mail sends the rest.
# (0.4.0 was the newest that npm gave. Upstream's code of July 2026, then 0.6.0 in the making, does the same. An
# issue which was closed for 0.5.3 is about the several recipients of one mail.)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @upyo/core@0.4.0 @upyo/smtp@0.4.0 smtp-server@3.21.6 >/dev/null

cat >probe.mjs <<'PROBE'
import { createMessage } from '@upyo/core';
import { SmtpTransport } from '@upyo/smtp';
import { SMTPServer } from 'smtp-server';
const sent = [];
const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    onRcptTo: ({ address }, session, callback) => {
        const gone = address.startsWith('gone@');
        callback(gone ? Object.assign(new Error('5.1.1 no such user'), { responseCode: 550 }) : null);
    },
    onData: (stream, { envelope }, callback) => {
        stream.resume();
        stream.on('end', () => {
            sent.push(envelope.rcptTo[0].address);
            callback(null, '2.0.0 ok');
        });
    },
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const transport = new SmtpTransport({ host: '127.0.0.1', port: server.server.address().port, secure: false });
const mails = ['ann', 'gone', 'bob', 'eve'].map((name) => createMessage({
    from: 'news@example.com', to: `${name}@example.org`, subject: 'News', content: { text: 'News.' },
}));
const say = ({ successful, errorMessages }) => console.log(successful ? '  sent' : `  ${errorMessages}`);
console.log('sendMany()');
for await (const receipt of transport.sendMany(mails)) say(receipt);
console.log('  received:', sent.splice(0).join(' '));
console.log('send() for each');
for (const mail of mails) say(await transport.send(mail));
console.log('  received:', sent.join(' '));
await transport.closeAllConnections();
server.close();
PROBE
cat >expected <<'SEEN'
sendMany()
  sent
  RCPT TO failed for gone@example.org: 5.1.1 no such user
  Connection is no longer valid
  Connection is no longer valid
  received: ann@example.org
send() for each
  sent
  RCPT TO failed for gone@example.org: 5.1.1 no such user
  sent
  sent
  received: ann@example.org bob@example.org eve@example.org
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
