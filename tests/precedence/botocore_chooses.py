"""Says which credentials, region and endpoint botocore chooses, given files and variables.

Reads one JSON object on standard input: lists of environments; writes the answers.
"""

import json
import os
import sys

import botocore.session


def chosen(environment, ask):
    """The answer of `ask` to a new session, or the name of the error."""
    os.environ.clear()
    os.environ.update(environment)
    try:
        return ask(botocore.session.Session())
    except Exception as error:
        return "error: " + type(error).__name__


def credentials(session):
    found = session.get_credentials()
    if found is None:
        return "none"
    found = found.get_frozen_credentials()
    return found.access_key + (" " + found.token if found.token else "")


def settings(session):
    client = session.create_client("sesv2", aws_access_key_id="a", aws_secret_access_key="b")
    bundle = session.get_config_variable("ca_bundle")
    return f"{client.meta.region_name} {client.meta.endpoint_url} {bundle or '-'}"


# Without a terminal nobody can be asked for a code.
if os.getpid() != os.getsid(0):
    try:
        os.setsid()
    except OSError:
        pass
asked = json.load(sys.stdin)
json.dump(
    {
        "credentials": [chosen(case, credentials) for case in asked["credentials"]],
        "settings": [chosen(case, settings) for case in asked["settings"]],
    },
    sys.stdout,
)
