#!/bin/sh
# Feedback reports (RFC 5965) that are not about authentication, read by parsedmarc 11.1.0 (PyPI), 2026-11-30.
# Guess: refused, as other mail that is no DMARC report is: a complaint (abuse), and its withdrawal (not-spam), are
# sent in the same multipart/report, but are no failure reports of DMARC (RFC 9991), which are auth-failure.
# Fact: both are read as failure reports, with report_type "failure", auth_failure "dmarc", which nobody wrote, and
# no aligned mechanisms; the reported domain is made of the From header of the mail that was complained about. A
# mailbox that gets the reports of feedback loops beside those of DMARC shows mail which passed DMARC, as the report
# below says, as mail that failed it, and the more of it, the more a newsletter annoys. feedback_type still has the
# word as it came. parsedmarc logs a warning for each field that it fills in, and its changelog tells of that; that
# other types of feedback end up there is said neither in its documentation nor in an issue that was found.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install parsedmarc==11.1.0

cat >probe.py <<'PROBE'
import logging

import parsedmarc
logging.disable(logging.CRITICAL)


def read(what, mail):
    try:
        result = parsedmarc.parse_report_email(mail, offline=True)
    except parsedmarc.ParserError as error:
        print(what, "-", type(error).__name__)
        return
    report = result["report"]
    print(what, "-", result["report_type"])
    for name in "feedback_type", "auth_failure", "authentication_mechanisms", "reported_domain":
        print(f"  {name}: {report[name]}")
    print("  authentication_results:", report["authentication_results"])


for feedback in "abuse", "not-spam":
    read(feedback, f"""From: feedback@example.net
To: dmarc@example.com
Subject: FW: News
Date: Mon, 30 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="B"

--B
Content-Type: text/plain

This is a report of a user about a message from 192.0.2.1.
--B
Content-Type: message/feedback-report

Feedback-Type: {feedback}
User-Agent: Feedback/1.0
Version: 1
Original-Mail-From: <bounce-7@example.com>
Original-Rcpt-To: <ann@example.net>
Arrival-Date: Mon, 30 Nov 2026 09:00:00 +0000
Authentication-Results: mx.example.net; dkim=pass header.d=example.com; dmarc=pass header.from=example.com
Source-IP: 192.0.2.1

--B
Content-Type: message/rfc822

From: news@example.com
To: ann@example.net
Subject: News
Date: Mon, 30 Nov 2026 09:00:00 +0000
Message-ID: <7@example.com>

News.
--B--
""")
read("a letter", """From: bob@example.net
To: dmarc@example.com
Subject: Hello
Date: Mon, 30 Nov 2026 10:00:00 +0000

Hello.
""")
PROBE
cat >expected <<'SEEN'
abuse - failure
  feedback_type: abuse
  auth_failure: ['dmarc']
  authentication_mechanisms: []
  reported_domain: example.com
  authentication_results: mx.example.net; dkim=pass header.d=example.com; dmarc=pass header.from=example.com
not-spam - failure
  feedback_type: not-spam
  auth_failure: ['dmarc']
  authentication_mechanisms: []
  reported_domain: example.com
  authentication_results: mx.example.net; dkim=pass header.d=example.com; dmarc=pass header.from=example.com
a letter - InvalidDMARCReport
SEEN
venv/bin/python -W ignore probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
