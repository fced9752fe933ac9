#!/bin/sh
# Inlining the CSS of a mail template with css-inline 0.24.0, 2026-11-28.
# Guess: template tags between table rows stay between them, since they are text.
# Fact: both ends of the loop are moved out, in front of the table, where they stand around
# nothing. The row is left in the table once: an invoice with three lines shows one, without data.
# It is what HTML's own rules ask of text within a table. juice 11.1.1, which reads with a
# more lenient parser, leaves the loop in place.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install css-inline==0.24.0

cat >probe.py <<'PROBE'
import css_inline
html = ("<html><head><style>td{padding:1px}</style></head><body><table>"
        "{% for line in lines %}<tr><td>{{ line }}</td></tr>{% endfor %}</table></body></html>")
print(css_inline.inline(html))
PROBE
cat >expected <<'SEEN'
<html><head></head><body>{% for line in lines %}{% endfor %}<table><tbody><tr><td style="padding: 1px;">{{ line }}</td></tr></tbody></table></body></html>
SEEN
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
