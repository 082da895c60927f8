# SPDX-License-Identifier: Apache-2.0

"""Python that runs on the engine."""

import pandas as pd
from pyspark.sql import functions as F


def python_udf(ctx):
    """A plain UDF with a closure, in the DataFrame API and registered for SQL."""
    offset = 100

    def shifted(value):
        return value + offset

    shift = F.udf(shifted, "long")
    with ctx.session() as spark:
        direct = [r.v for r in spark.range(5).select(shift("id").alias("v")).collect()]
        spark.udf.register("rh_shift", shifted, "long")
        named = spark.sql("SELECT rh_shift(id) AS v FROM range(3)").collect()
    return {"direct": direct, "registered": [r.v for r in named]}


def arrow_udf(ctx):
    """A UDF whose rows travel as Arrow."""

    @F.udf(returnType="string", useArrow=True)
    def spelled(value):
        return f"<{value}>"

    return [r.v for r in ctx.spark.range(3).select(spelled("id").alias("v")).collect()]


def pandas_udf(ctx):
    """Series to series, and series to one value per group."""

    @F.pandas_udf("double")
    def halved(values: pd.Series) -> pd.Series:
        return values / 2

    @F.pandas_udf("double")
    def mean(values: pd.Series) -> float:
        return float(values.mean())

    frame = ctx.spark.range(10).withColumn("k", F.col("id") % 2)
    grouped = frame.groupBy("k").agg(mean("id").alias("m")).orderBy("k").collect()
    return {
        "halves": [r.h for r in frame.select(halved("id").alias("h")).collect()],
        "means": [[r.k, r.m] for r in grouped],
    }


def apply_in_pandas(ctx):
    """One pandas frame per group, in and out."""

    def centred(group):
        return group.assign(v=group["id"] - group["id"].mean())

    frame = ctx.spark.range(9).withColumn("k", F.col("id") % 3)
    out = frame.groupBy("k").applyInPandas(centred, "id long, k long, v double")
    return [[r.id, r.k, r.v] for r in out.orderBy("id").collect()]


def map_in_pandas_and_arrow(ctx):
    """Iterators of batches, as pandas and as Arrow."""

    def only_even(frames):
        for frame in frames:
            yield frame[frame["id"] % 2 == 0]

    def unchanged(batches):
        yield from batches

    frame = ctx.spark.range(10)
    even = frame.mapInPandas(only_even, "id long").orderBy("id").collect()
    same = frame.mapInArrow(unchanged, "id long").orderBy("id").collect()
    return {"pandas": [r.id for r in even], "arrow": [r.id for r in same]}


def table_function(ctx):
    """A UDTF, which makes several rows of one."""

    @F.udtf(returnType="n int, square int")
    class Squares:
        def eval(self, top: int):
            for n in range(top):
                yield n, n * n

    return [[r.n, r.square] for r in Squares(F.lit(4)).collect()]
