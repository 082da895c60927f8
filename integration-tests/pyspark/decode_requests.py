# SPDX-License-Identifier: Apache-2.0

"""Decodes request messages with the message classes of this PySpark.

Reads lines of JSON from stdin: ``id``, ``method`` and ``raw`` (base64). Writes
one line for each: ``id`` and either ``user_id``, ``user_name``, ``session_id``
and ``extensions`` (their number), or ``error``.
"""

import base64
import json
import sys

from google.protobuf import message_factory
from pyspark.sql.connect.proto import base_pb2


def request_classes():
    methods = base_pb2.DESCRIPTOR.services_by_name["SparkConnectService"].methods
    return {method.name: message_factory.GetMessageClass(method.input_type) for method in methods}


def decode(kind, raw):
    message = kind()
    try:
        message.ParseFromString(raw)
    except Exception as error:  # whatever the library raises is the answer
        return {"error": type(error).__name__}
    user = message.user_context
    return {
        "user_id": user.user_id,
        "user_name": user.user_name,
        "session_id": message.session_id,
        "extensions": len(user.extensions),
    }


def main():
    classes = request_classes()
    for line in sys.stdin:
        asked = json.loads(line)
        kind = classes.get(asked["method"], classes["GetStatus"])
        answer = decode(kind, base64.b64decode(asked["raw"]))
        print(json.dumps({"id": asked["id"], **answer}))


if __name__ == "__main__":
    main()
