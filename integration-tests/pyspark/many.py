# SPDX-License-Identifier: Apache-2.0

"""Many sessions at once, each with a connection and a query of its own.

Lines: ``session`` per session (number, application id, seconds from the common
start; or the error), ``all`` (sessions, failures, the distinct application
ids, seconds). ``--hold`` keeps the sessions open until a line on stdin.
"""

import concurrent.futures
import sys
import threading

from pyspark.sql import SparkSession

from support import client, engine
from support.report import emit


def program():
    options = client.arguments(
        __doc__,
        ("count", {"type": int, "help": "number of sessions"}),
        ("--hold", {"action": "store_true", "help": "keep them until a line comes on stdin"}),
    )
    barrier = threading.Barrier(options.count)
    watch = client.Stopwatch()
    with concurrent.futures.ThreadPoolExecutor(options.count) as pool:
        opened = list(pool.map(lambda n: _open(options.remote, n, barrier), range(options.count)))
        live = [(spark, application) for spark, application in opened if application]
        emit(
            "all",
            sessions=len(live),
            failures=options.count - len(live),
            engines=sorted({application for _, application in live}),
            seconds=watch.seconds(),
        )
        if options.hold:
            sys.stdin.readline()
        list(pool.map(lambda pair: pair[0].stop(), live))
    return 0 if len(live) == options.count else 1


def _open(remote, number, barrier):
    """Opens one session; returns it with its application id, or None and None."""
    barrier.wait()
    watch = client.Stopwatch()
    try:
        spark = SparkSession.builder.remote(remote).create()
        value = spark.sql(f"SELECT {number} AS n").first().n
        application = engine.application_id(spark)
    except Exception as error:  # counted, the others go on
        emit("session", number=number, seconds=watch.seconds(), **client.error_fields(error))
        return None, None
    emit("session", number=number, value=value, application_id=application, seconds=watch.seconds())
    return spark, application


if __name__ == "__main__":
    client.main(program)
