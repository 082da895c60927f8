# SPDX-License-Identifier: Apache-2.0

"""What a user can read of an engine, while a streaming query runs in Python.

Lines: ``running`` when foreachBatch has written a batch; ``seen`` for each place
looked at (name, text); then ``looked``, and the query goes on until a line comes
on stdin. ``--set key=value`` tries a setting first and adds what came of it.
"""

import sys
import threading

from pyspark.sql import SparkSession, functions as F

from support import client, engine
from support.report import emit

_TOKEN_KEYS = ("spark.connect.authenticate.token", "spark.kyuubi.engine.key.file")
_PLACES = ("/proc/self/environ", "/proc/self/cmdline")


def program():
    options = client.arguments(
        __doc__, ("--dir", {"required": True, "help": "folder for the batches"})
    )
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    query = _started(lambda: _foreach_batch(spark, options.dir))
    _until(lambda: query.lastProgress)
    emit("running", **engine.describe(spark))
    for name, look in _looks(spark).items():
        emit("seen", name=name, text=_text(look))
    emit("looked")
    sys.stdin.readline()
    active = query.isActive
    query.stop()
    spark.stop()
    emit("stopped", active=active)
    return 0


def _started(start):
    """A query whose Python worker came up in Spark's ten seconds; a busy machine needs several tries."""
    for _ in range(4):
        try:
            return start()
        except Exception as error:
            if "connect back" not in str(error):
                raise
    return start()


def _foreach_batch(spark, folder):
    def write(batch, number):
        rows = batch.sparkSession.createDataFrame([(number,)], "n LONG")
        rows.write.mode("append").parquet(f"{folder}/out")

    source = spark.readStream.format("rate").option("rowsPerSecond", 1).load()
    writer = source.writeStream.foreachBatch(write).trigger(processingTime="1 second")
    return writer.option("checkpointLocation", f"{folder}/state").start()


def _looks(spark):
    looks = {
        "get_all": lambda: spark.conf.getAll,
        "SET": lambda: spark.sql("SET").collect(),
        "SET -v": lambda: spark.sql("SET -v").collect(),
        "UDF environment": lambda: _in_udf(spark, "{k: v for k, v in __import__('os').environ.items()}"),
    }
    for key in _TOKEN_KEYS:
        looks[f"get {key}"] = lambda key=key: spark.conf.get(key, "nothing")
        looks[f"SET {key}"] = lambda key=key: spark.sql(f"SET {key}").collect()
    for place in _PLACES:
        looks[f"UDF {place}"] = lambda place=place: _in_udf(spark, f"open({place!r}, 'rb').read()")
    looks["environment by SQL"] = lambda: spark.sql("SELECT java_method('java.lang.System', 'getenv', 'PATH')").collect()
    looks["token property"] = lambda: spark.sql(
        f"SELECT java_method('java.lang.System', 'getProperty', '{_TOKEN_KEYS[0]}')"
    ).collect()
    return looks


def _in_udf(spark, expression):
    look = F.udf(lambda _: str(eval(expression)))
    return spark.range(1).select(look("id")).first()[0]


def _text(look):
    try:
        return str(look())
    except Exception as error:  # a refusal is an answer; its text is looked at too
        return f"{type(error).__name__}: {error}"


def _until(reached):
    pause = threading.Event()
    for _ in range(240):
        if reached():
            return
        pause.wait(0.25)
    raise AssertionError("foreachBatch ends no batch")


if __name__ == "__main__":
    client.main(program)
