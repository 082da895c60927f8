# SPDX-License-Identifier: Apache-2.0

"""Stops every engine of the gateway whose REST address is the argument. Engines
outlive a gateway, and the quickstart leaves nothing behind."""

import json
import sys
import urllib.request


def main() -> None:
    engines = sys.argv[1] + "/api/v1/admin/engine"
    with urllib.request.urlopen(engines + "?all=true", timeout=10) as reply:
        ids = [e["refId"] for e in json.load(reply) if e["state"] != "ended"]
    for ref_id in ids:
        print(f"Stopping engine {ref_id}", flush=True)
        request = urllib.request.Request(f"{engines}?refId={ref_id}", method="DELETE")
        urllib.request.urlopen(request, timeout=120).close()


if __name__ == "__main__":
    main()
