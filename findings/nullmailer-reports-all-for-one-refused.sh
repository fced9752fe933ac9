#!/bin/sh
# The relay nullmailer 2.2-4 (Debian 12) with a mail to three, one of whom the smarthost refuses; the smarthost is
# aiosmtpd 1.4.6 (PyPI), 2026-11-30. (proot puts nullmailer's fixed paths into a folder of its own.)
# Guess: the two others get the mail, as from other relays with a queue, and the report to the sender has one
# Final-Recipient, the refused one.
# Fact: nobody gets it. At the first refusal nullmailer gives the whole mail up. Its report has three Final-Recipient
# fields, each with action failed, status 5.1.1 and the server's words for the one: no such user. Nothing in it
# tells which was meant, and the server was not even asked about the last of them. A bounce reader which goes by the
# report, as it should, takes three addresses for dead of which two are well. With 4yz for one address, greylisted
# say, all wait, and after queuelifetime all are reported. The manual of nullmailer-dsn says that it adds the
# fields for each recipient; that a mail fails as a whole stands nowhere in manuals, README or NEWS. Give it one
# mail for each recipient.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir debs
(cd debs && apt-get download -q -q nullmailer=1:2.2-4 proot=5.1.0-1.3 libtalloc2 2>/dev/null)
for deb in debs/*.deb; do dpkg -x "$deb" root; done
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install aiosmtpd==1.4.6
mkdir etc spool spool/queue spool/tmp spool/failed
mkfifo spool/trigger
echo mail.example.com >mailname
cat >run <<'RUN'
#!/bin/sh
export LD_LIBRARY_PATH="$(dirname "$(find "$PWD/root" -name 'libtalloc.so.2')")"
exec root/usr/bin/proot -b "$PWD/etc:/etc/nullmailer" -b "$PWD/mailname:/etc/mailname" \
    -b "$PWD/spool:/var/spool/nullmailer" -b "$PWD/root/usr/lib/nullmailer:/usr/lib/nullmailer" \
    -b "$PWD/root/usr/sbin/nullmailer-queue:/usr/sbin/nullmailer-queue" \
    -b "$PWD/root/usr/bin/nullmailer-dsn:/usr/bin/nullmailer-dsn" "$@"
RUN
chmod +x run
cat >probe.py <<'PROBE'
import asyncio, os, signal
from email import message_from_bytes
from aiosmtpd.smtp import SMTP
done = asyncio.Event()
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        print('asked about', address)
        if address.startswith('gone@'):
            return '550 5.1.1 no such user'
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 ok'
    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content)
        print('received by', *envelope.rcpt_tos, '-', mail['Subject'])
        for part in mail.walk():
            if 'Final-Recipient' in part:
                print(' ', '; '.join(f'{part[name]}' for name in ('Final-Recipient', 'Action', 'Diagnostic-Code')))
        done.set()
        return '250 2.0.0 ok'
async def main():
    make = lambda: SMTP(Handler(), loop=asyncio.get_running_loop(), hostname='mx.example.org')
    server = await asyncio.get_running_loop().create_server(make, '127.0.0.1', 0)
    with open('etc/remotes', 'w') as remotes:
        print(f'127.0.0.1 smtp --port={server.sockets[0].getsockname()[1]}', file=remotes)
    pipe = asyncio.subprocess.PIPE
    inject = await asyncio.create_subprocess_exec(
        './run', 'root/usr/bin/nullmailer-inject', '-f', 'news@example.com', stdin=pipe)
    await inject.communicate(b'From: news@example.com\nTo: ann@example.org, gone@example.org, bob@example.org\n'
                             b'Subject: News\n\nNews.\n')
    with open('log', 'w') as log:
        send = await asyncio.create_subprocess_exec(
            './run', 'root/usr/sbin/nullmailer-send', start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            await asyncio.wait_for(done.wait(), 40)
        finally:
            os.killpg(send.pid, signal.SIGTERM)
            await send.wait()
asyncio.run(main())
PROBE
cat >expected <<'SEEN'
asked about ann@example.org
asked about gone@example.org
asked about news@example.com
received by news@example.com - Returned mail: Could not send message
  rfc822; ann@example.org; failed; SMTP; 550 5.1.1 no such user
  rfc822; gone@example.org; failed; SMTP; 550 5.1.1 no such user
  rfc822; bob@example.org; failed; SMTP; 550 5.1.1 no such user
SEEN
venv/bin/python probe.py >seen || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
