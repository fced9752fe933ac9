"""Says what botocore makes of the same input: signatures, and the endpoints of SES v2
and STS.

Reads one JSON object with a list of cases on standard input, writes the list of answers.
"""

import base64
import datetime
import json
import sys

import botocore.auth
import botocore.loaders
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.endpoint_provider import EndpointProvider


def signed(case):
    time = datetime.datetime.fromtimestamp(case["time"], datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda *_, **__: time.replace(tzinfo=None)
    request = AWSRequest(
        method=case["method"],
        url=case["url"],
        headers=dict(case["headers"]),
        data=base64.b64decode(case["body"]),
    )
    credentials = Credentials(case["id"], case["secret"], case["token"])
    botocore.auth.SigV4Auth(credentials, case["service"], case["region"]).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def endpoints(cases):
    loader = botocore.loaders.Loader(include_default_search_paths=True)
    providers = {
        service: EndpointProvider(
            loader.load_service_model(service, "endpoint-rule-set-1"),
            loader.load_data("partitions"),
        )
        for service in {case["service"] for case in cases}
    }
    more = {"sts": {"UseGlobalEndpoint": False}}
    return [
        providers[case["service"]]
        .resolve_endpoint(
            Region=case["region"],
            UseFIPS=case["fips"],
            UseDualStack=case["dual"],
            **more.get(case["service"], {}),
        )
        .url
        for case in cases
    ]


asked = json.load(sys.stdin)
json.dump(
    {
        "signed": [signed(case) for case in asked.get("signed", [])],
        "endpoints": endpoints(asked.get("endpoints", [])),
    },
    sys.stdout,
)
