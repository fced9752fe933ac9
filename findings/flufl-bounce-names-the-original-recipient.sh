#!/bin/sh
# Reading delivery reports with flufl.bounce 6.0.0, 2026-11-28.
# Guess: where a report has both, the address that failed is its Final-Recipient.
# Fact: the Original-Recipient is named, and the Final-Recipient not at all. For mail that was
# forwarded it is the address the sender wrote to, so the sender's row is found; but a
# failure of one member of an expanded alias is held against the alias.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install flufl.bounce==6.0.0

cat >probe.py <<'PROBE'
from email import message_from_string
from flufl.bounce import all_failures
print(all_failures(message_from_string("""From: MAILER-DAEMON@mx.example.org
To: sender@example.org
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

It failed.
--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Original-Recipient: rfc822; team@example.com
Final-Recipient: rfc822; bob@example.com
Action: failed
Status: 5.1.1
--B--
"""))[1])
PROBE
cat >expected <<'SEEN'
frozenset({b'team@example.com'})
SEEN
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
