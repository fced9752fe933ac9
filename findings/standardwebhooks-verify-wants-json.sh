#!/bin/sh
# Checking signatures with standardwebhooks 1.1.0 (PyPI), 2026-11-28.
# Guess: verify() of a payload that is text, rightly signed, passes; the scheme signs bytes.
# Fact: it decodes the payload as JSON after the check and raises JSONDecodeError, which is no
# WebhookVerificationError: a receiver that catches the one fails on the other with 500.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install standardwebhooks==1.1.0

cat >probe.py <<'PROBE'
import base64, datetime
from standardwebhooks import Webhook
hook = Webhook("whsec_" + base64.b64encode(b"k" * 24).decode())
now = datetime.datetime.now(datetime.timezone.utc)
for payload in ('{"a":1}', "hello", ""):
    headers = {"webhook-id": "m1", "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": hook.sign("m1", now, payload)}
    try:
        print(repr(payload), hook.verify(payload, headers))
    except Exception as error:
        print(repr(payload), type(error).__name__)
PROBE
cat >expected <<'SEEN'
'{"a":1}' {'a': 1}
'hello' JSONDecodeError
'' JSONDecodeError
SEEN
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
