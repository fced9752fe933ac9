#!/bin/sh
# A bounce notification of Amazon SES for two recipients, read by django-anymail 15.2 with Django 5.2.19 (PyPI),
# 2026-11-30.
# Guess: two events, each with an event_id of its own: Anymail documents event_id as unique to the event and as
# the way to keep from handling an event twice.
# Fact: two events, one for each recipient, and both with the same event_id: the MessageId of the SNS notification.
# Complaints and deliveries are the same. Who keeps event ids, with a unique index or ON CONFLICT DO NOTHING, since
# SNS may deliver a notification twice, records the first recipient and skips all others as repeated: a dead address
# is written to again. The pair of event_id and recipient is what is unique. A comment in Anymail's source says that
# the id is that of the notification; its pages on tracking and on SES do not.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install django-anymail==15.2 Django==5.2.19 boto3==1.44.8

cat >probe.py <<'PROBE'
import json

import django
from django.conf import settings
settings.configure(ANYMAIL={}, ALLOWED_HOSTS=["*"])
django.setup()
from anymail.signals import tracking
from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView
from django.test import RequestFactory

handled = set()


def on_event(sender, event, esp_name, **kwargs):
    if event.event_id in handled:
        print(event.event_id, event.event_type, event.recipient, "- had that before, skipped")
        return
    handled.add(event.event_id)
    print(event.event_id, event.event_type, event.recipient, "- recorded")


tracking.connect(on_event)
view = AmazonSESTrackingWebhookView.as_view()


def notify(number, message):
    notification = {
        "Type": "Notification",
        "MessageId": number,
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:mail",
        "Timestamp": "2026-11-30T10:00:00.000Z",
        "Message": json.dumps(message),
    }
    view(RequestFactory().post(
        "/", json.dumps(notification), content_type="text/plain; charset=UTF-8",
        HTTP_X_AMZ_SNS_MESSAGE_TYPE="Notification", HTTP_X_AMZ_SNS_MESSAGE_ID=number,
    ))


both = ["ann@example.com", "bob@example.org"]
mail = {"messageId": "0102-7", "destination": both, "headers": []}
notify("sns-1", {"eventType": "Bounce", "mail": mail, "bounce": {
    "bounceType": "Permanent", "bounceSubType": "General",
    "bouncedRecipients": [{"emailAddress": each, "action": "failed", "status": "5.1.1"} for each in both],
}})
notify("sns-2", {"eventType": "Delivery", "mail": mail, "delivery": {"recipients": both, "smtpResponse": "250 Ok"}})
PROBE
cat >expected <<'SEEN'
sns-1 bounced ann@example.com - recorded
sns-1 bounced bob@example.org - had that before, skipped
sns-2 delivered ann@example.com - recorded
sns-2 delivered bob@example.org - had that before, skipped
SEEN
venv/bin/python -W ignore probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
