# SPDX-License-Identifier: Apache-2.0

"""A long query whose engine dies, and the recovery by getOrCreate().

Lines: ``engine`` (application id, driver pid), ``running`` (a task of the query
runs: kill now), ``ended`` (type, condition and text of the error, seconds since
``running``), ``engine_after`` and ``recovered`` (SELECT 1 on the new session).
With ``--kill`` it kills the driver itself, and ``ended`` tells the delay.
"""

import os
import signal
import threading

from pyspark.sql import SparkSession

from support import client, engine
from support.report import emit


def program():
    options = client.arguments(
        __doc__,
        ("--seconds", {"type": float, "default": 600, "help": "length of the query"}),
        ("--kill", {"action": "store_true", "help": "kill -9 the driver when the query runs"}),
    )
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    before = engine.describe(spark)
    emit("engine", **before)
    running = _Running(before["driver_pid"] if options.kill else None)
    spark.registerProgressHandler(running)
    try:
        spark.sql(engine.sleeping_query(options.seconds)).collect()
        emit("finished", seconds=running.watch.seconds())
        return 1
    except Exception as error:  # what this program is for
        emit("ended", seconds=running.watch.seconds(), **client.error_fields(error))
    recovery = client.Stopwatch()
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    one = spark.sql("SELECT 1 AS one").first().one
    emit("recovered", one=one, seconds=recovery.seconds())
    emit("engine_after", **engine.describe(spark))
    spark.stop()
    return 0


class _Running:
    """A progress handler that says ``running`` once, at the first task in flight."""

    def __init__(self, pid_to_kill):
        self.watch = client.Stopwatch()
        self._pid_to_kill = pid_to_kill
        self._first = threading.Lock()

    def __call__(self, stages, inflight_tasks, operation_id, done):
        if inflight_tasks == 0 or not self._first.acquire(blocking=False):
            return
        self.watch = client.Stopwatch()
        emit("running", operation_id=operation_id)
        if self._pid_to_kill:
            os.kill(self._pid_to_kill, signal.SIGKILL)


if __name__ == "__main__":
    client.main(program)
