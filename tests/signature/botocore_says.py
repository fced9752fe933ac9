"""Says what botocore makes of the same input: signatures, and the endpoints of SES v2
and STS.

Reads one JSON object with a list of cases on standard input, writes the list of answers.
"""

import base64
import datetime
import hashlib
import json
import sys

import botocore.auth
import botocore.crt.auth
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


def asymmetric(case):
    """A request signed for any region by the AWS common runtime, and the text that is signed."""
    day = datetime.datetime.strptime(case["date"], "%Y%m%dT%H%M%SZ")
    day = day.replace(tzinfo=datetime.timezone.utc)
    botocore.crt.auth.get_current_datetime = lambda *_, **__: day
    plain = {
        "method": case["method"],
        "url": case["url"],
        "data": base64.b64decode(case["body"]),
    }
    request = AWSRequest(headers=dict(case["headers"]), **plain)
    who = Credentials(case["id"], case["secret"], case["token"])
    botocore.crt.auth.CrtSigV4AsymAuth(who, case["service"], "*").add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    rest = {name: value for name, value in headers.items() if name != "authorization"}
    canonical = botocore.auth.SigV4Auth(who, case["service"], "*").canonical_request(
        AWSRequest(headers=rest, **plain)
    )
    text = [
        "AWS4-ECDSA-P256-SHA256",
        case["date"],
        f"{case['date'][:8]}/{case['service']}/aws4_request",
        hashlib.sha256(canonical.encode()).hexdigest(),
    ]
    return {"headers": headers, "text": "\n".join(text)}


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
            **({"EndpointId": case["id"]} if case.get("id") else {}),
        )
        .url
        for case in cases
    ]


asked = json.load(sys.stdin)
json.dump(
    {
        "asymmetric": [asymmetric(case) for case in asked.get("asymmetric", [])],
        "signed": [signed(case) for case in asked.get("signed", [])],
        "endpoints": endpoints(asked.get("endpoints", [])),
    },
    sys.stdout,
)
