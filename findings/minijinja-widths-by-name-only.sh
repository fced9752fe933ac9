#!/bin/sh
# The same mail templates with Jinja2 3.1.6 and minijinja 3.1.0 (PyPI), 2026-11-28.
# Guess: a filter of the same name takes the same arguments.
# Fact: the widths of truncate and wordwrap are taken by name only; the usual {{ x|truncate(9) }}
# is an error there. And urlencode of a mapping, for an address's query, writes a blank as %20 where
# Jinja2 writes +, so that signed links differ by engine.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install jinja2==3.1.6 minijinja==3.1.0

cat >probe.py <<'PROBE'
import jinja2, minijinja
words = "one two three four"
for text in ("{{ words|truncate(9) }}", "{{ words|truncate(length=9) }}",
             "{{ words|wordwrap(8)|length }}", "{{ words|wordwrap(width=8)|length }}",
             "{{ {'q': 'a b'}|urlencode }}"):
    seen = []
    for render in (lambda: jinja2.Environment().from_string(text).render(words=words),
                   lambda: minijinja.Environment().render_str(text, words=words)):
        try:
            seen.append(render())
        except Exception as error:
            seen.append(type(error).__name__)
    print(text, *seen, sep=" ; ")
PROBE
cat >expected <<'SEEN'
{{ words|truncate(9) }} ; one... ; TemplateError
{{ words|truncate(length=9) }} ; one... ; one...
{{ words|wordwrap(8)|length }} ; 18 ; TemplateError
{{ words|wordwrap(width=8)|length }} ; 18 ; 18
{{ {'q': 'a b'}|urlencode }} ; q=a+b ; q=a%20b
SEEN
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
