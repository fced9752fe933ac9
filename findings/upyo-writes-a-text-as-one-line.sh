#!/bin/sh
# A text of some lines sent by @upyo/smtp 0.4.0 with @upyo/core 0.4.0 (npm) to aiosmtpd 1.4.6 (PyPI), 2026-11-30.
# Guess: the body is quoted-printable with lines of at most 76 characters; a line break of the text becomes one of
# the mail.
# Fact: a line feed becomes =0A, and the count of the line starts anew there as if the line had ended. So a text
# whose lines are shorter than 76 is one line of the mail, however long it gets, without a soft break. With some 20
# lines it is over the 998 characters that SMTP allows: a server may refuse it, as aiosmtpd does, or break it in
# the middle, which changes the text and what a DKIM signature covers. With CRLF in the text it is another fault:
# each line ends in =0D and a bare line feed, which many servers have refused since 2023, and which is no end of a
# line to this one. An HTML part is written in the same way. A test with a short text does not show it. Nothing was
# found of it in docs, changelog or issues, and upstream's code of July 2026, newer than what npm gave, is the same.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install aiosmtpd==1.4.6
npm install --silent --no-audit --no-fund @upyo/core@0.4.0 @upyo/smtp@0.4.0 >/dev/null

cat >probe.mjs <<'PROBE'
import { createMessage } from '@upyo/core';
import { SmtpTransport } from '@upyo/smtp';
const transport = new SmtpTransport({ host: '127.0.0.1', port: Number(process.argv[2]), secure: false });
const line = 'What there is to tell our readers in this week.';
for (const [count, end] of [[4, '\n'], [40, '\n'], [4, '\r\n'], [40, '\r\n']]) {
    const receipt = await transport.send(createMessage({
        from: 'news@example.com', to: 'reader@example.org', subject: `${count} lines, ${JSON.stringify(end)}`,
        content: { text: Array(count).fill(line).join(end) },
    }));
    if (!receipt.successful) console.log(`${count} lines, ${JSON.stringify(end)}: ${receipt.errorMessages}`);
}
await transport.closeAllConnections();
PROBE
cat >server.py <<'SERVER'
import asyncio, sys
from aiosmtpd.smtp import SMTP
class Handler:
    async def handle_DATA(self, server, session, envelope):
        head, body = envelope.content.split(b'\r\n\r\n', 1)
        subject = [line[9:].decode() for line in head.split(b'\r\n') if line.startswith(b'Subject: ')][0]
        lines = body.removesuffix(b'\r\n').split(b'\r\n')
        print(f'{subject}: {len(lines)} line, {len(lines[0])} octets, {body.count(b"=0A")} times =0A,',
              f'{body.count(b"=0D" + bytes([10]))} times =0D and a bare line feed', flush=True)
        return '250 2.0.0 ok'
async def main():
    make = lambda: SMTP(Handler(), loop=asyncio.get_running_loop(), hostname='mx.example.org')
    server = await asyncio.get_running_loop().create_server(make, '127.0.0.1', 0)
    probe = await asyncio.create_subprocess_exec(*sys.argv[1:], str(server.sockets[0].getsockname()[1]))
    sys.exit(await probe.wait())
asyncio.run(main())
SERVER
cat >expected <<'SEEN'
4 lines, "\n": 1 line, 197 octets, 3 times =0A, 0 times =0D and a bare line feed
40 lines, "\n": Message send failed: Line too long (see RFC5321 4.5.3.1.6)
4 lines, "\r\n": 1 line, 200 octets, 0 times =0A, 3 times =0D and a bare line feed
40 lines, "\r\n": Message send failed: Line too long (see RFC5321 4.5.3.1.6)
SEEN
venv/bin/python server.py node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
