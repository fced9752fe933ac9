#!/bin/sh
# What Amazon SES tells of readers, in the events of django-anymail 15.2 with Django 5.2.19 (PyPI), 2026-11-30.
# Guess: a complaint notification whose complaintFeedbackType is not-spam, which SES sends when a reader takes a
# mail out of the spam folder, is no complaint; a Subscription event, which SES sends when a reader unsubscribes by
# the link or the header that SES adds, is Anymail's "unsubscribed"; a DeliveryDelay is its "deferred", for the
# recipients that wait.
# Fact: not-spam is "complained" with the reject reason "spam", as abuse is, and differs only in the description,
# which is the word as SES has it. The other two are "unknown", for each recipient of the mail, those who have it
# already too. Code that goes by event_type, as the documentation shows, stops writing to the reader who wanted the
# mail, and goes on for the one who left. The documentation of the SES webhook names sent, delivered, bounced,
# complained, rejected, opened, clicked and failed, and says nothing of not-spam, Subscription or DeliveryDelay; no
# issue was found that does.
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


def on_event(sender, event, esp_name, **kwargs):
    print(" ", event.event_type, event.recipient, event.reject_reason, "-", event.description)


tracking.connect(on_event)
view = AmazonSESTrackingWebhookView.as_view()


def notify(kind, destination, **message):
    notification = {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:mail",
        "Timestamp": "2026-11-30T10:00:00.000Z",
        "Message": json.dumps({
            "eventType": kind, "mail": {"messageId": "0102-7", "destination": destination, "headers": []}, **message,
        }),
    }
    print(kind)
    view(RequestFactory().post(
        "/", json.dumps(notification), content_type="text/plain; charset=UTF-8",
        HTTP_X_AMZ_SNS_MESSAGE_TYPE="Notification", HTTP_X_AMZ_SNS_MESSAGE_ID="sns-1",
    ))


for feedback in "abuse", "not-spam":
    notify("Complaint", ["ann@example.com"], complaint={
        "complainedRecipients": [{"emailAddress": "ann@example.com"}], "complaintFeedbackType": feedback,
        "feedbackId": "f-1", "timestamp": "2026-11-30T10:00:00.000Z",
    })
notify("Subscription", ["bob@example.com"], subscription={
    "contactList": "News", "timestamp": "2026-11-30T10:00:00.000Z", "source": "UnsubscribeHeader",
    "newTopicPreferences": {"unsubscribeAll": True}, "oldTopicPreferences": {"unsubscribeAll": False},
})
notify("DeliveryDelay", ["ann@example.com", "cid@example.org"], deliveryDelay={
    "delayType": "TransientCommunicationFailure", "timestamp": "2026-11-30T10:00:00.000Z",
    "delayedRecipients": [{"emailAddress": "cid@example.org", "status": "4.4.1"}],
})
PROBE
cat >expected <<'SEEN'
Complaint
  complained ann@example.com spam - abuse
Complaint
  complained ann@example.com spam - not-spam
Subscription
  unknown bob@example.com None - Unknown SES eventType 'Subscription'
DeliveryDelay
  unknown ann@example.com None - Unknown SES eventType 'DeliveryDelay'
  unknown cid@example.org None - Unknown SES eventType 'DeliveryDelay'
SEEN
venv/bin/python -W ignore probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
