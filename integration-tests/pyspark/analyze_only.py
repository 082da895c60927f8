# SPDX-License-Identifier: Apache-2.0

"""A session that only analyses plans: no query, no command.

Every ``--every`` seconds for ``--seconds`` it asks for the schema of a new
DataFrame (one AnalyzePlan). Lines: ``started`` (application id), ``schema`` per
call, ``still`` (calls, same engine).
"""

from pyspark.sql import SparkSession

from support import client, engine
from support.report import emit


def program():
    options = client.arguments(
        __doc__,
        ("--seconds", {"type": float, "required": True, "help": "how long"}),
        ("--every", {"type": float, "default": 1, "help": "seconds between two calls"}),
    )
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    before = engine.application_id(spark)
    emit("started", application_id=before)
    watch, calls = client.Stopwatch(), 0
    while watch.seconds() < options.seconds:
        calls += 1
        emit("schema", schema=spark.range(calls).schema.simpleString())
        client.pause(options.every)
    emit("still", calls=calls, same_engine=engine.application_id(spark) == before)
    spark.stop()
    return 0


if __name__ == "__main__":
    client.main(program)
