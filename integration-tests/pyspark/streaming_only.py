# SPDX-License-Identifier: Apache-2.0

"""A session with a streaming query and no call for a while.

Lines: ``started`` (engine, query id), ``still`` after the pause (active, same
engine, progress made in the meantime), then the query and the session stop.
"""

from pyspark.sql import SparkSession

from support import client, engine
from support.report import emit


def program():
    options = client.arguments(
        __doc__, ("--seconds", {"type": float, "required": True, "help": "time without a call"})
    )
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    before = engine.describe(spark)
    source = spark.readStream.format("rate").option("rowsPerSecond", 1).load()
    writer = source.writeStream.format("noop").trigger(processingTime="1 second")
    query = writer.start()
    emit("started", query_id=query.id, **before)
    client.pause(options.seconds)
    progress = query.lastProgress
    emit(
        "still",
        active=query.isActive,
        same_engine=engine.application_id(spark) == before["application_id"],
        batch=progress["batchId"] if progress else None,
    )
    query.stop()
    spark.stop()
    return 0


if __name__ == "__main__":
    client.main(program)
