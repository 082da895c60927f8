# SPDX-License-Identifier: Apache-2.0

"""SQL, DataFrames, views, configuration and plan analysis."""

import pandas as pd
from pyspark.sql import Observation
from pyspark.sql import functions as F

from support.engine import sleeping_query


def sql_query(ctx):
    """SQL with types, parameters, grouping and nulls."""
    rows = ctx.spark.sql(
        """
        SELECT id % 3 AS k, count(*) AS n, sum(id) AS total, max(CAST(id AS STRING)) AS top,
               CAST(sum(id) / 7 AS DECIMAL(20, 4)) AS d, collect_list(id) AS ids, NULL AS nothing
        FROM range(0, 20, 1, 3) WHERE id <> :skip GROUP BY id % 3 ORDER BY k
        """,
        args={"skip": 7},
    ).collect()
    return [
        {**row.asDict(), "d": str(row.d), "ids": sorted(row.ids)} for row in rows
    ]


def dataframe_query(ctx):
    """Joins, windows and sorting through the DataFrame API."""
    left = ctx.spark.range(10).withColumn("k", F.col("id") % 4)
    right = ctx.spark.createDataFrame([(0, "zero"), (1, "one"), (2, "two")], "k LONG, name STRING")
    joined = left.join(right, "k", "left").orderBy("id")
    return [row.asDict() for row in joined.collect()]


def pandas_round_trip(ctx):
    """A pandas frame goes to the engine and comes back equal."""
    frame = pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [0.5, float("nan"), -2.25],
            "s": ["a", None, "\u00fc\u4e16"],
            "b": [True, False, True],
            "t": pd.to_datetime(["2024-02-29 12:34:56", "1970-01-01 00:00:00", "2038-01-19 03:14:08"]),
            "l": [[1, 2], [], [3]],
        }
    )
    remote = ctx.spark.createDataFrame(frame)
    back = remote.toPandas()
    return {
        "schema": remote.schema.simpleString(),
        "columns": list(back.columns),
        "i": [int(v) for v in back["i"]],
        "f": [None if pd.isna(v) else float(v) for v in back["f"]],
        "s": [None if pd.isna(v) else v for v in back["s"]],
        "b": [bool(v) for v in back["b"]],
        "t": [v.isoformat() for v in back["t"]],
        "l": [[int(x) for x in v] for v in back["l"]],
    }


def temp_view(ctx):
    """A temp view is seen by its session only."""
    with ctx.session() as own, ctx.session() as other:
        own.range(5).createOrReplaceTempView("rh_numbers")
        seen = own.sql("SELECT sum(id) AS s FROM rh_numbers").first().s
        names = [t.name for t in own.catalog.listTables() if t.isTemporary]
        elsewhere = other.catalog.tableExists("rh_numbers")
        dropped = own.catalog.dropTempView("rh_numbers")
    return {"sum": seen, "views": names, "seen_elsewhere": elsewhere, "dropped": dropped}


def config_rpc(ctx):
    """Every kind of Config call."""
    with ctx.session() as spark:
        default = spark.conf.get("spark.sql.shuffle.partitions")
        spark.conf.set("spark.sql.shuffle.partitions", 7)
        changed = spark.conf.get("spark.sql.shuffle.partitions")
        spark.conf.unset("spark.sql.shuffle.partitions")
        return {
            "changed": changed,
            "restored": spark.conf.get("spark.sql.shuffle.partitions") == default,
            "absent": spark.conf.get("spark.rh.absent", "fallback"),
            "modifiable": spark.conf.isModifiable("spark.sql.ansi.enabled"),
            "static": spark.conf.isModifiable("spark.sql.warehouse.dir"),
            "all": len(spark.conf.getAll) > 10,
        }


def analyze_calls(ctx):
    """AnalyzePlan in its forms: schema, explain, semantics, storage level, DDL."""
    frame = ctx.spark.range(10).withColumn("twice", F.col("id") * 2)
    same = ctx.spark.range(10).withColumn("twice", F.col("id") * 2)
    frame.persist()
    cached = frame.storageLevel.useMemory
    frame.unpersist()
    return {
        "schema": frame.schema.simpleString(),
        "explains": "Range (0, 10" in frame._explain_string(extended=True),
        "same": frame.sameSemantics(same),
        "streaming": frame.isStreaming,
        "local": frame.isLocal(),
        "cached": cached,
        "cached_after": frame.storageLevel.useMemory,
    }


def files_round_trip(ctx):
    """Written by the engine, listed and read again."""
    path = f"{ctx.scratch}/files"
    ctx.spark.range(0, 100, 1, 2).withColumn("k", F.col("id") % 5).write.partitionBy("k").parquet(path)
    back = ctx.spark.read.parquet(path)
    sums = back.groupBy("k").agg(F.sum("id").alias("s")).orderBy("k").collect()
    return {"files": len(back.inputFiles()) > 0, "sums": [[r.k, r.s] for r in sums]}


def observed_metrics(ctx):
    """Metrics observed on the way of a query reach the client."""
    observation = Observation("rh_observed")
    frame = ctx.spark.range(100).observe(
        observation, F.count(F.lit(1)).alias("n"), F.max("id").alias("top")
    )
    return {"rows": len(frame.collect()), "metrics": observation.get}


def progress_reports(ctx):
    """The progress handler hears of a running query and of its end."""
    reports = []

    def handler(stages, inflight_tasks, operation_id, done):
        tasks = sum(stage.num_tasks for stage in stages)
        reports.append((tasks, inflight_tasks, bool(operation_id), done))

    ctx.spark.registerProgressHandler(handler)
    try:
        ctx.spark.sql(sleeping_query(seconds=3, tasks=2)).collect()
    finally:
        ctx.spark.removeProgressHandler(handler)
    return {
        "tasks": max(tasks for tasks, _, _, _ in reports),
        "saw_running": any(inflight > 0 for _, inflight, _, _ in reports),
        "operation_named": all(named for _, _, named, _ in reports),
        "done": reports[-1][3],
    }
