# SPDX-License-Identifier: Apache-2.0

"""A session whose engine ends while the client waits, and the recovery by getOrCreate().

Lines: ``ready`` (one query was answered; application id, driver pid); after a
line on stdin, by when the test has ended the engine, ``ended`` (type, condition
and text of the next query's error, seconds), ``recovered`` (SELECT 1 on the new
session, seconds) and ``engine_after``.
"""

import sys

from pyspark.sql import SparkSession

from support import client, engine
from support.report import emit


def program():
    options = client.arguments(__doc__)
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    emit("ready", one=_one(spark), **engine.describe(spark))
    sys.stdin.readline()
    watch = client.Stopwatch()
    try:
        one = _one(spark)
        emit("finished", one=one, seconds=watch.seconds())
        return 1
    except Exception as error:  # what this program is for
        emit("ended", seconds=watch.seconds(), **client.error_fields(error))
    recovery = client.Stopwatch()
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    emit("recovered", one=_one(spark), seconds=recovery.seconds())
    emit("engine_after", **engine.describe(spark))
    spark.stop()
    return 0


def _one(spark):
    return spark.sql("SELECT 1 AS one").first().one


if __name__ == "__main__":
    client.main(program)
