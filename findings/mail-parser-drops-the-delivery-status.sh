#!/bin/sh
# Reading a bounce and a complaint with mail-parser 4.8.0 (PyPI), 2026-11-30.
# Guess: the notice is the text; the machine's part (message/delivery-status or message/feedback-report) and the
# mail that came back are attachments, as they are none of the text.
# Fact: the fields of the machine's part, with the failed address and the status or the type of the complaint, are
# in no list: not in the texts, not in what could not be managed, not in the attachments, which are empty, nor in
# the headers. The text of the mail that came back is in text_plain and text_html beside the notice, and in `body`.
# So who looks there for a failed address finds none, and who looks for "unsubscribe" or "stop" in what readers
# write finds the footer of the own newsletter. That a forwarded mail's text is part of the body is said by the
# maintainer in an issue (23); of the other part neither the README nor an issue that was found says anything. The
# parsed message is still in `message`. (Python's own parser reads each message/ part as a mail with headers and
# without a body; the library takes bodies.)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install mail-parser==4.8.0

cat >probe.py <<'PROBE'
import mailparser


def read(kind, subtype, notice, fields):
    mail = mailparser.parse_from_string(f"""From: postmaster@mx.example.org
To: bounces@example.com
Subject: Report
Date: Mon, 30 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary="B"

--B
Content-Type: text/plain

{notice}
--B
Content-Type: message/{subtype}

{fields}
--B
Content-Type: message/rfc822

From: news@example.com
To: ann@example.org
Subject: News
Date: Mon, 30 Nov 2026 09:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="C"

--C
Content-Type: text/plain

News. To unsubscribe, answer STOP.
--C
Content-Type: text/html

<p>News. To unsubscribe, answer STOP.</p>
--C--
--B--
""")
    print(subtype)
    print("  text_plain:", mail.text_plain)
    print("  text_html:", mail.text_html)
    print("  text_not_managed:", mail.text_not_managed)
    print("  attachments:", mail.attachments)
    print("  ann@example.org is somewhere:", "ann@example.org" in mail.mail_json)


read("delivery-status", "delivery-status", "Your message was not delivered.", """Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.1.1
""")
read("feedback-report", "feedback-report", "This is a complaint.", """Feedback-Type: abuse
User-Agent: Feedback/1.0
Version: 1
Original-Rcpt-To: <ann@example.org>
""")
PROBE
cat >expected <<'SEEN'
delivery-status
  text_plain: ['Your message was not delivered.', 'News. To unsubscribe, answer STOP.']
  text_html: ['<p>News. To unsubscribe, answer STOP.</p>']
  text_not_managed: []
  attachments: []
  ann@example.org is somewhere: False
feedback-report
  text_plain: ['This is a complaint.', 'News. To unsubscribe, answer STOP.']
  text_html: ['<p>News. To unsubscribe, answer STOP.</p>']
  text_not_managed: []
  attachments: []
  ann@example.org is somewhere: False
SEEN
venv/bin/python -W ignore probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
