# SPDX-License-Identifier: Apache-2.0

"""One query, then the end of the program after a line on stdin.

In between the test may end the engine: the exit stays fast and launches none.
Lines: ``ready`` (application id, driver pid), ``exiting`` (after the line on
stdin), ``exited`` (seconds of the exit handlers). ``--stop`` calls
``spark.stop()`` first and prints ``stopped`` with its seconds.
"""

import sys

from support import client, engine
from support.report import emit


def program():
    options = client.arguments(
        __doc__, ("--stop", {"action": "store_true", "help": "call spark.stop() before the exit"})
    )
    end = client.ExitWatch()
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    emit("ready", rows=spark.range(3).count(), **engine.describe(spark))
    sys.stdin.readline()
    if options.stop:
        watch = client.Stopwatch()
        spark.stop()
        emit("stopped", seconds=watch.seconds())
    end.exiting()
    return 0


if __name__ == "__main__":
    client.main(program)
