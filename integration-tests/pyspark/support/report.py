# SPDX-License-Identifier: Apache-2.0

"""JSON lines for the program that started this one."""

import json
import threading
import time

_WRITE = threading.Lock()
_PROCESS_START = time.monotonic()


def emit(event, **fields):
    """Prints one JSON object on its own line and flushes.

    ``event`` says what happened, ``time`` is seconds since the epoch (for a
    reader in another process), ``uptime`` is seconds since this module was
    loaded (for differences within this process). Safe to call from threads.
    """
    line = {
        "event": event,
        "time": round(time.time(), 6),
        "uptime": round(time.monotonic() - _PROCESS_START, 6),
        **fields,
    }
    text = json.dumps(line, default=str)
    with _WRITE:
        print(text, flush=True)
