# SPDX-License-Identifier: Apache-2.0

"""Runs scenarios one after the other and reports each."""

import contextlib
import dataclasses
import time
import traceback

import pyspark
from pyspark.sql import SparkSession


class Skip(Exception):
    """Raised by a scenario that this client or server cannot do; says why."""


@dataclasses.dataclass(frozen=True)
class Context:
    """What a scenario gets.

    remote: the ``sc://`` address under test.
    spark: a session shared by all scenarios; leave it as it was found.
    rows: size of the large results, in rows of 200 bytes.
    message_mb: size of a message that cannot be split, in MiB.
    scratch: a directory (path or URI) that the client's engine can write.
    local: a directory of the client.
    """

    remote: str
    spark: SparkSession
    rows: int
    message_mb: int
    scratch: str
    local: str

    @contextlib.contextmanager
    def session(self):
        """A session of its own, stopped at the end."""
        session = SparkSession.builder.remote(self.remote).create()
        try:
            yield session
        finally:
            session.stop()

    def require(self, client, server, what):
        """Skips the scenario when client or server is older than given (major, minor)."""
        for side, version, wanted in (
            ("PySpark", pyspark.__version__, client),
            ("the engine's Spark", self.spark.version, server),
        ):
            if tuple(int(part) for part in version.split(".")[:2]) < wanted:
                raise Skip(f"{side} {version} has no {what}")


def run_one(scenario, context):
    """Runs one scenario; returns {name, ok, seconds} and result, skipped or error."""
    line = {"name": scenario.__name__}
    started = time.monotonic()
    try:
        line["result"] = scenario(context)
        line["ok"] = True
    except Skip as reason:
        line["skipped"] = str(reason)
        line["ok"] = True
    except Exception as error:  # reported, and the next scenario runs
        line["error"] = {
            "type": type(error).__name__,
            "text": str(error),
            "traceback": traceback.format_exc(),
        }
        line["ok"] = False
    line["seconds"] = round(time.monotonic() - started, 3)
    return line
