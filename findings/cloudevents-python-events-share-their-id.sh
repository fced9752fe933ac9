#!/bin/sh
# Events made from the same attributes with the CloudEvents SDK for Python (cloudevents 2.2.0, PyPI), 2026-12-01.
# Guess: an event that is given no id gets a new one, so two events made from one dictionary of source and type are
# two events.
# Fact: the id, the time and the specversion are written into the dictionary that the caller passed, and the event
# keeps that very dictionary. So the first event gets an id, and every later one made from the same attributes has
# it too, with the time of the first. Source and id name an event, so a reader that drops what it has seen, as the
# specification allows, takes the first and drops the rest. Each event alone is right, and so is a test with one. An
# attribute that is changed between two events changes in the one that is there already. The class of version 1,
# which is still there as cloudevents.v1.http.CloudEvent, copies, so moving to the new class brings this in. The
# README says that the id is generated if omitted, the docstring that it is a new UUID; no issue on it was found.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install cloudevents==2.2.0

cat >probe.py <<'PROBE'
import json

from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OldCloudEvent

recipients = ["ann@example.org", "bob@example.org", "carol@example.org"]


def count(what, events):
    written = [json.loads(to_structured_event(event).body) for event in events]
    print(f"{what}: {len(written)} events, {len({event['id'] for event in written})} ids,",
          "to", *[event["data"]["to"] for event in written])


common = {"source": "/shop", "type": "com.example.mail"}
events = [CloudEvent(common, {"to": to}) for to in recipients]
count("one dictionary", events)
print("times of these:", len({event.get_time() for event in events}))
print("in the dictionary now:", *sorted(common))
common = {"source": "/shop", "type": "com.example.mail"}
count("a copy for each", [CloudEvent(dict(common), {"to": to}) for to in recipients])

common = {"source": "/shop", "type": "com.example.mail"}
old = [OldCloudEvent(common, {"to": to}) for to in recipients]
print(f"the class of version 1: {len(old)} events, {len({event['id'] for event in old})} ids")

attributes = {"source": "/shop", "type": "com.example.mail", "subject": "first"}
first = CloudEvent(attributes)
attributes["subject"] = "second"
print("subject of the first, after the next was prepared:", first.get_subject())
PROBE
cat >expected <<'SEEN'
one dictionary: 3 events, 1 ids, to ann@example.org bob@example.org carol@example.org
times of these: 1
in the dictionary now: id source specversion time type
a copy for each: 3 events, 3 ids, to ann@example.org bob@example.org carol@example.org
the class of version 1: 3 events, 3 ids
subject of the first, after the next was prepared: second
SEEN
venv/bin/python -W ignore probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
