# SPDX-License-Identifier: Apache-2.0

"""The first call of a session on a cold gateway, held while the engine starts.

Lines: ``calling``, ``answered`` (seconds, result) or ``failed`` (seconds, type,
condition, text), ``engine``. ``--first`` chooses the kind of the first call.
"""

from pyspark.sql import SparkSession

from support import client, engine
from support.report import emit


def _execute(spark):
    return len(spark.sql("SELECT 1 AS one").collect())


def _analyze(spark):
    return spark.range(3).schema.simpleString()


def _config(spark):
    return spark.conf.get("spark.sql.session.timeZone")


def _artifact(spark):
    return len(spark.client.cache_artifact(b"roundhouse"))


_FIRST = {"execute": _execute, "analyze": _analyze, "config": _config, "artifact": _artifact}


def program():
    options = client.arguments(
        __doc__, ("--first", {"choices": sorted(_FIRST), "default": "execute", "help": "kind of the first call"})
    )
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    emit("calling", first=options.first)
    watch = client.Stopwatch()
    try:
        result = _FIRST[options.first](spark)
    except Exception as error:  # how long it took is part of the answer
        emit("failed", seconds=watch.seconds(), **client.error_fields(error))
        return 1
    emit("answered", seconds=watch.seconds(), result=result)
    emit("engine", **engine.describe(spark))
    spark.stop()
    return 0


if __name__ == "__main__":
    client.main(program)
