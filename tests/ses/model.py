"""Says which statuses a bulk mail may have and which errors its call, by botocore's model of SES v2.

Reads nothing that counts on standard input; writes one JSON object.
"""

import json
import sys

import botocore.session

service = botocore.session.Session().get_service_model("sesv2")
operation = service.operation_model("SendBulkEmail")
answer = {
    "statuses": service.shape_for("BulkEmailStatus").enum,
    "errors": [shape.name for shape in operation.error_shapes],
}
json.dump(answer, sys.stdout)
