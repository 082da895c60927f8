# SPDX-License-Identifier: Apache-2.0

"""The life of sessions, and several of them at once."""

import concurrent.futures
import uuid

from pyspark.sql import SparkSession

from support.errors import raised_by

_THREADS = 8


def clone_session(ctx):
    """A clone has the views and settings of its origin and goes its own way."""
    ctx.require((4, 1), (4, 1), "cloneSession")
    wished = str(uuid.uuid4())
    with ctx.session() as origin:
        origin.conf.set("spark.sql.shuffle.partitions", 7)
        origin.range(5).createOrReplaceTempView("rh_cloned")
        clone, named = origin.cloneSession(), origin.cloneSession(wished)
        copied = {"view": _sum(clone, "rh_cloned"), "conf": _partitions(clone)}
        named_ok = named.session_id == wished and _sum(named, "rh_cloned") == 10
        clone.conf.set("spark.sql.shuffle.partitions", 9)
        clone.catalog.dropTempView("rh_cloned")
        kept = {"view": _sum(origin, "rh_cloned"), "conf": _partitions(origin)}
        clone.stop()
        named.stop()
        after = _sum(origin, "rh_cloned")
    return {"copied": copied, "named": named_ok, "origin": kept, "after_stop": after}


def new_session(ctx):
    """newSession() starts empty on the same engine."""
    ctx.require((4, 3), (4, 0), "newSession over Spark Connect")
    with ctx.session() as origin:
        origin.range(5).createOrReplaceTempView("rh_not_copied")
        fresh = origin.newSession()
        try:
            return {
                "other_id": fresh.session_id != origin.session_id,
                "view_seen": fresh.catalog.tableExists("rh_not_copied"),
                "same_engine": fresh.conf.get("spark.app.id") == origin.conf.get("spark.app.id"),
            }
        finally:
            fresh.stop()


def operation_status(ctx):
    """GetStatus knows the operations of its session, and says so of one that it does not know."""
    ctx.require((4, 2), (4, 2), "GetStatus")
    with ctx.session() as spark:
        spark.sql("SELECT 1").collect()
        own = spark.client._get_operation_statuses().operation_statuses
        unknown = spark.client._get_operation_statuses([str(uuid.uuid4())]).operation_statuses
    return {
        "own": len(own),
        "own_ended": all(s.state in (s.OPERATION_STATE_TERMINATING, s.OPERATION_STATE_SUCCEEDED) for s in own),
        "foreign_unknown": [s.state == s.OPERATION_STATE_UNKNOWN for s in unknown],
    }


def stop_session(ctx):
    """stop() ends this session and no other; it may be called twice."""
    spark = SparkSession.builder.remote(ctx.remote).create()
    before = spark.range(3).count()
    spark.stop()
    spark.stop()
    refused = raised_by(lambda: spark.range(3).count())
    return {
        "before": before,
        "stopped": spark.is_stopped,
        "refused": {key: refused.get(key) for key in ("type", "condition")},
        "others": ctx.spark.range(3).count(),
    }


def same_session(ctx):
    """getOrCreate() gives the live session again."""
    again = SparkSession.builder.remote(ctx.remote).getOrCreate()
    return {"same": again.session_id == ctx.spark.session_id}


def session_by_id(ctx):
    """Two clients that name one session id share the session's views."""
    session_id = str(uuid.uuid4())
    separator = ";" if "/;" in ctx.remote else "/;"
    address = f"{ctx.remote.rstrip('/;')}{separator}session_id={session_id}"
    first = SparkSession.builder.remote(address).create()
    second = SparkSession.builder.remote(address).create()
    try:
        first.range(5).createOrReplaceTempView("rh_shared")
        return {"sum": _sum(second, "rh_shared"), "id": second.session_id == session_id}
    finally:
        first.stop()
        second.client.close()


def concurrent_queries(ctx):
    """Queries of one session, from several threads at once."""

    def one(number):
        rows = ctx.spark.range(1000 * (number + 1)).selectExpr(f"id + {number} AS v")
        return rows.selectExpr("count(*) AS n", "sum(v) AS s").first().asDict()

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(one, range(_THREADS)))


def concurrent_sessions(ctx):
    """Sessions at once, each with its own view of one name."""

    def one(number):
        with ctx.session() as spark:
            spark.range(number + 1).createOrReplaceTempView("rh_mine")
            return _sum(spark, "rh_mine")

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(one, range(_THREADS)))


def _sum(spark, view):
    return spark.sql(f"SELECT sum(id) AS s FROM {view}").first().s


def _partitions(spark):
    return spark.conf.get("spark.sql.shuffle.partitions")
