#!/bin/sh
# Inlining the CSS of a mail template with premailer 3.10.0, 2026-11-28.
# Guess: a link whose address is a placeholder, href="{{ url }}", is left as it is, as text is.
# Fact: the spaces within the braces become %20 in addresses, and only there. A template engine
# then sees {{%20url%20}} and refuses it, or takes it for text. Without spaces, {{url}} is kept.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install premailer==3.10.0 cssutils==2.15.0 lxml

cat >probe.py <<'PROBE'
import premailer
html = """<html><head><style>p{color:red}</style></head><body>
<p>{{ name }} <a href="{{ url }}">a</a> <a href="{{url}}">b</a></p></body></html>"""
body = premailer.transform(html, disable_validation=True)
for line in body.splitlines():
    if line.startswith("<p"):
        print(line[: line.index("</p>") + 4])
PROBE
cat >expected <<'SEEN'
<p style="color:red">{{ name }} <a href="{{%20url%20}}">a</a> <a href="{{url}}">b</a></p>
SEEN
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
