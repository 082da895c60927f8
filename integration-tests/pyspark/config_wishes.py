# SPDX-License-Identifier: Apache-2.0

"""Launch options by builder.config, and what the engine then has.

Lines: ``created`` (seconds, warnings), ``engine``, ``conf`` (by the Config RPC
and by SQL SET), and for each ``--set`` of the running session ``set`` (warnings
or the error). ``--hold`` keeps the session open until a line on stdin.
"""

import sys
import warnings

from pyspark.sql import SparkSession

from support import client, engine
from support.report import emit

_KEYS = "spark.driver.memory,spark.executor.memory,spark.app.name"


def program():
    options = client.arguments(
        __doc__,
        ("--conf", {"action": "append", "default": [], "type": _pair, "help": "key=value of the builder"}),
        ("--set", {"action": "append", "default": [], "type": _pair, "help": "key=value set later"}),
        ("--get", {"default": _KEYS, "help": "keys to show, with commas"}),
        ("--hold", {"action": "store_true", "help": "stay until a line comes on stdin"}),
    )
    builder = SparkSession.builder.remote(options.remote)
    for key, value in options.conf:
        builder = builder.config(key, value)
    watch = client.Stopwatch()
    spark, warned = _warnings_of(builder.getOrCreate)
    emit("created", seconds=watch.seconds(), warnings=warned)
    emit("engine", **engine.describe(spark))
    emit("conf", values={key: _shown(spark, key) for key in options.get.split(",")})
    for key, value in options.set:
        _set(spark, key, value)
    if options.hold:
        sys.stdin.readline()
    spark.stop()
    return 0


def _pair(text):
    key, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"{text} is not key=value")
    return key, value


def _warnings_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        value = call()
    return value, [str(warning.message) for warning in caught]


def _shown(spark, key):
    by_sql = [row.value for row in spark.sql(f"SET {key}").collect()]
    return {"config": spark.conf.get(key, None), "sql": by_sql[0] if by_sql else None}


def _set(spark, key, value):
    try:
        _, warned = _warnings_of(lambda: spark.conf.set(key, value))
        emit("set", key=key, warnings=warned)
    except Exception as error:  # a refusal is an answer here
        emit("set", key=key, **client.error_fields(error))


if __name__ == "__main__":
    client.main(program)
