"""Says what the SDK of CloudEvents makes of lines: the attributes and data of each event.

Reads one JSON list of lines on standard input, writes the list of answers.
"""

import json
import re
import sys

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

# RFC 3986, appendix A, as far as a path goes: the SDK does not look into `source`.
PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")


def read(line):
    # The SDK would fill these in.
    for name in ("specversion", "id"):
        assert name in json.loads(line), name
    event = JSONFormat().read(CloudEvent, line)
    assert PATH.fullmatch(event.get_source()), event.get_source()
    return {
        "specversion": event.get_specversion(),
        "id": event.get_id(),
        "source": event.get_source(),
        "type": event.get_type(),
        "subject": event.get_subject(),
        "datacontenttype": event.get_datacontenttype(),
        "data": event.get_data(),
    }


json.dump([read(line) for line in json.load(sys.stdin)], sys.stdout)
