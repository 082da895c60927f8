# SPDX-License-Identifier: Apache-2.0

"""What the single-purpose clients have in common.

Each of them prints JSON lines (``support.report``) and is driven by the test
that started it. Exit code 0 when it could do what it is for, 1 when not, 2 for
wrong arguments.
"""

import argparse
import atexit
import sys
import threading
import time
import warnings

from support.report import emit


def arguments(description, *extra):
    """Parses ``--remote`` and the ``extra`` options, (name, keyword arguments) each."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--remote", required=True, help="sc://host:port")
    for name, keywords in extra:
        parser.add_argument(name, **keywords)
    return parser.parse_args()


def main(program):
    """Runs ``program`` and exits; an error becomes a line ``failed``."""
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    try:
        code = program()
    except Exception as error:  # told to the reader, who cannot see a traceback
        emit("failed", **error_fields(error))
        code = 1
    sys.exit(code or 0)


def error_fields(error):
    """Type, condition (error class) and text of an error."""
    condition = getattr(error, "getCondition", lambda: None)()
    return {"type": type(error).__name__, "condition": condition, "text": str(error)}


def pause(seconds):
    """Stays idle without a call to the server."""
    threading.Event().wait(seconds)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self):
        self._start = time.monotonic()

    def seconds(self):
        """The time so far, rounded to a millisecond."""
        return round(time.monotonic() - self._start, 3)


class ExitWatch:
    """Tells how long the exit handlers of the program took, PySpark's among them.

    Make it before PySpark is imported: exit handlers run in reverse order, and
    this one has to be the last. It prints ``exiting`` and, last of all, ``exited``.
    """

    def __init__(self):
        self._watch = None
        atexit.register(self._exited)

    def exiting(self):
        """Say it as the last act of the program."""
        self._watch = Stopwatch()
        emit("exiting")

    def _exited(self):
        if self._watch:
            emit("exited", seconds=self._watch.seconds())
