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
    watch = _start_watch(spark, before["driver_pid"] if options.kill else None)
    try:
        spark.sql(client.SLEEPING.format(milliseconds=int(options.seconds * 1000))).collect()
        emit("finished", seconds=watch().seconds())
        return 1
    except Exception as error:  # what this program is for
        emit("ended", seconds=watch().seconds(), **client.error_fields(error))
    recovery = client.Stopwatch()
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    one = spark.sql("SELECT 1 AS one").first().one
    emit("recovered", one=one, seconds=recovery.seconds())
    emit("engine_after", **engine.describe(spark))
    spark.stop()
    return 0


def _start_watch(spark, pid_to_kill):
    """Says ``running`` at the first progress report with a task in flight.

    Returns a function that gives the stopwatch started then.
    """
    first, started = threading.Lock(), [client.Stopwatch()]

    def handler(stages, inflight_tasks, operation_id, done):
        if inflight_tasks > 0 and first.acquire(blocking=False):
            started[0] = client.Stopwatch()
            if pid_to_kill:
                os.kill(pid_to_kill, signal.SIGKILL)
            emit("running", operation_id=operation_id)

    spark.registerProgressHandler(handler)
    return lambda: started[0]


if __name__ == "__main__":
    client.main(program)
