#!/bin/sh
# A stand-in of Amazon SES: moto 5.2.5 with boto3 1.44.8, 2026-11-28.
# Guess: TestRenderTemplate reads {{{name}}}, which SES templates use for text that is not to be
# escaped, as it reads {{name}}.
# Fact: it takes the third brace for a part of the name and says that the attribute '{name' is missing. A
# template that real SES renders fails its test there.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install "moto[ses]==5.2.5" boto3==1.44.8

cat >probe.py <<'PROBE'
import boto3
from moto import mock_aws
with mock_aws():
    ses = boto3.client("ses", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    for name, text in (("two", "Dear {{name}}"), ("three", "Dear {{{name}}}")):
        ses.create_template(Template={"TemplateName": name, "SubjectPart": "s", "TextPart": text, "HtmlPart": text})
        try:
            rendered = ses.test_render_template(TemplateName=name, TemplateData='{"name": "Ann"}')["RenderedTemplate"]
            print(name, "Dear Ann" in rendered)
        except Exception as error:
            print(name, error)
PROBE
cat >expected <<'SEEN'
two True
three An error occurred (MissingRenderingAttribute) when calling the TestRenderTemplate operation: Attribute '{name' is not present in the rendering data.
SEEN
venv/bin/python probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
