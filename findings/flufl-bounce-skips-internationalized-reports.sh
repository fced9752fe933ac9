#!/bin/sh
# Reading delivery reports with flufl.bounce 6.0.0, 2026-11-28.
# Guess: a report of RFC 6533 (address type utf-8, or content type
# message/global-delivery-status) names its failed address as one of RFC 3464 does.
# Fact: neither is seen: no address, no error. Servers that offer SMTPUTF8 may answer so for plain
# ASCII addresses too, and such bounces are lost on a list manager built on it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install flufl.bounce==6.0.0

cat >probe.py <<'PROBE'
from email import message_from_string
from flufl.bounce import all_failures

def report(kind, address_type):
    return message_from_string(f"""From: MAILER-DAEMON@mx.example.org
To: sender@example.org
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary="B"

--B
Content-Type: text/plain

It failed.
--B
Content-Type: message/{kind}

Reporting-MTA: dns; mx.example.org

Final-Recipient: {address_type}; bob@example.com
Action: failed
Status: 5.1.1
--B--
""")

for kind, address_type in (("delivery-status", "rfc822"), ("delivery-status", "utf-8"),
                           ("global-delivery-status", "rfc822"), ("global-delivery-status", "utf-8")):
    temporary, permanent = all_failures(report(kind, address_type))
    print(kind, address_type, sorted(a.decode() for a in temporary), sorted(a.decode() for a in permanent))
PROBE
cat >expected <<'SEEN'
delivery-status rfc822 [] ['bob@example.com']
delivery-status utf-8 [] []
global-delivery-status rfc822 [] []
global-delivery-status utf-8 [] []
SEEN
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
