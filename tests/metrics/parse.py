"""Reads metrics in the text format of Prometheus as the official client library for Python does.

Text on standard input; on standard output a JSON list of families, each with its samples.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

families = text_string_to_metric_families(sys.stdin.read())
json.dump(
    [
        {
            "name": family.name,
            "type": family.type,
            "help": family.documentation,
            "samples": [[one.name, one.labels, one.value] for one in family.samples],
        }
        for family in families
    ],
    sys.stdout,
)
