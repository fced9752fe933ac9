#!/bin/sh
# SendBulkEmail of SES v2 with EndpointId, by botocore 1.44.8 without and with awscrt, 2026-11-28.
# Guess: EndpointId is one more member of the request, which goes into its body and chooses a host;
# whoever has credentials can sign it as any other call.
# Fact: it asks for SigV4A, an ECDSA signature, which botocore cannot make by itself: without awscrt
# the call ends with MissingDependencyException before anything is sent, also where endpoint_url is
# a server on this machine. With awscrt the call is signed for the region set "*", whatever region is
# set, and the algorithm is AWS4-ECDSA-P256-SHA256: a stand-in that checks signatures must know it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install botocore==1.44.8

cat >probe.py <<'PROBE'
import botocore.session
from botocore.exceptions import BotoCoreError

def call(**more):
    client = botocore.session.Session().create_client(
        "sesv2", region_name="eu-west-1", aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", **more)
    seen = []
    def stop(request, **_):
        authorization = request.headers["Authorization"].decode()
        region = request.headers["X-Amz-Region-Set"].decode()
        seen.append((request.url.split("/v2/")[0], authorization.split()[0], region))
        raise SystemExit
    client.meta.events.register("before-send.sesv2", stop)
    try:
        client.send_bulk_email(
            DefaultContent={"Template": {"TemplateName": "a", "TemplateData": "{}"}},
            BulkEmailEntries=[{"Destination": {"ToAddresses": ["a@example.com"]}}],
            EndpointId="abc.def")
    except BotoCoreError as error:
        return type(error).__name__
    except SystemExit:
        return " ".join(seen[0])

print(call())
print(call(endpoint_url="http://127.0.0.1:9"))
PROBE
venv/bin/python probe.py >seen
venv/bin/pip --quiet --disable-pip-version-check install awscrt==0.38.0
venv/bin/python probe.py >>seen
cat seen
cat >expected <<'SEEN'
MissingDependencyException
MissingDependencyException
https://abc.def.endpoints.email.amazonaws.com AWS4-ECDSA-P256-SHA256 *
http://127.0.0.1:9 AWS4-ECDSA-P256-SHA256 *
SEEN
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
