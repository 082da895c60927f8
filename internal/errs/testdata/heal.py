# SPDX-License-Identifier: Apache-2.0

"""Calls a server that fails the first session and prints, as JSON, what a
person sees and whether the next getOrCreate() heals. Argument: remote URL."""

import json
import logging
import sys
import time
import warnings

warnings.simplefilter("ignore")
from pyspark.sql import SparkSession  # noqa: E402

logging.getLogger("pyspark").setLevel(logging.CRITICAL)


def main():
    out = {}
    first = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
    started = time.monotonic()
    try:
        first.version
    except Exception as e:  # whatever it is, its text is the result
        out["error"] = str(e)
        out["type"] = type(e).__name__
        out["condition"] = getattr(e, "getErrorClass", lambda: None)()
    out["seconds"] = time.monotonic() - started
    out["stopped"] = first.client.is_closed
    if out["stopped"]:
        second = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
        out["fresh"] = second.session_id != first.session_id
        out["version"] = second.version
    print(json.dumps(out))


main()
