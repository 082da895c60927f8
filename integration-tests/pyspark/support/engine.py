# SPDX-License-Identifier: Apache-2.0

"""Which engine (Spark driver) a session talks to, seen from the client.

Both ways work with Spark 4.0 to 4.3: the engine copies its SparkConf into each
session's configuration, so ``spark.app.id`` is readable over the Config RPC;
and SQL can call a static Java method inside the engine.
"""


def application_id(spark):
    """The engine's application id; one Config RPC."""
    return spark.conf.get("spark.app.id")


def driver_pid(spark):
    """The process id of the driver, or None where tasks run outside of it.

    One Config RPC and one query.
    """
    if not spark.conf.get("spark.master").startswith("local"):
        return None
    query = "SELECT java_method('java.lang.ProcessHandle', 'current') AS pid"
    return int(spark.sql(query).first().pid)


def sleeping_query(seconds, tasks=1):
    """SQL that sleeps in each of its tasks, without using a core; an interrupt ends it."""
    sleep = f"java_method('java.lang.Thread', 'sleep', {int(seconds * 1000)}L)"
    return f"SELECT {sleep} FROM range(0, {tasks}, 1, {tasks})"


def describe(spark):
    """Application id, Spark version and driver pid of a session's engine."""
    return {
        "application_id": application_id(spark),
        "spark_version": spark.version,
        "driver_pid": driver_pid(spark),
    }
