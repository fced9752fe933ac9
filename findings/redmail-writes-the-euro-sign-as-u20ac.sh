#!/bin/sh
# A CSV made from a query as an attachment of redmail 0.6.0 (PyPI), 2026-12-01.
# Guess: a string is written in UTF-8, as the text of the same mail is and as the same rows are when they are given
# as a pandas DataFrame, for which the library has an `encoding`.
# Fact: a letter beyond ASCII is written in Latin-1, as one byte, and what is not in Latin-1 as a backslash, a u and
# four digits: "5 €" comes as "5 \u20ac" and the name Łódź as a mix of both. The file is valid in no encoding that
# gives the text back, nothing is said about a charset, and no error or warning is given. Files in ASCII are
# right, so a test with plain names does not show it. The page on attachments says only that a string is the content
# as raw text; no report was found. The string goes as it is to Python's MIMEApplication, which wants bytes.
# What helps is to give bytes: text.encode().
# (Seen with Python 3.11.)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install redmail==0.6.0 jinja2==3.1.6

cat >probe.py <<'PROBE'
from redmail import EmailSender

sender = EmailSender(host="localhost", port=25)


def show(what, text):
    mail = sender.get_message(
        subject="Invoices", sender="shop@example.com", receivers=["ann@example.org"], text=text,
        attachments={"string.csv": text, "bytes.csv": text.encode()},
    )
    print(what)
    for part in mail.walk():
        if part.get_content_maintype() != "multipart":
            charset = part.get_content_charset()
            print(f"  {part.get_filename('text')}: {part.get_payload(decode=True).strip()} {charset}")


show("ASCII", "Smith;5 EUR")
show("Müller", "Müller;5 EUR")
show("5 €", "Smith;5 €")
show("Łódź", "Łódź;5 EUR")
PROBE
cat >expected <<'SEEN'
ASCII
  text: b'Smith;5 EUR' utf-8
  string.csv: b'Smith;5 EUR' None
  bytes.csv: b'Smith;5 EUR' None
Müller
  text: b'M\xc3\xbcller;5 EUR' utf-8
  string.csv: b'M\xfcller;5 EUR' None
  bytes.csv: b'M\xc3\xbcller;5 EUR' None
5 €
  text: b'Smith;5 \xe2\x82\xac' utf-8
  string.csv: b'Smith;5 \\u20ac' None
  bytes.csv: b'Smith;5 \xe2\x82\xac' None
Łódź
  text: b'\xc5\x81\xc3\xb3d\xc5\xba;5 EUR' utf-8
  string.csv: b'\\u0141\xf3d\\u017a;5 EUR' None
  bytes.csv: b'\xc5\x81\xc3\xb3d\xc5\xba;5 EUR' None
SEEN
export PYTHONUTF8=1
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
