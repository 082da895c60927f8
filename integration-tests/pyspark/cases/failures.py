# SPDX-License-Identifier: Apache-2.0

"""Errors of the engine, as its users see them."""

from pyspark.sql import functions as F

from support.errors import raised_by


def analysis_error(ctx):
    """An unknown column: condition, SQLSTATE, parameters, place in the statement."""
    return raised_by(lambda: ctx.spark.sql("SELECT nope FROM range(3)").collect())


def analysis_error_of_schema(ctx):
    """The same by AnalyzePlan, from the DataFrame API."""
    return raised_by(lambda: ctx.spark.range(3).select("nope").schema)


def parse_error(ctx):
    """A statement that does not parse."""
    return raised_by(lambda: ctx.spark.sql("SELEC 1").collect())


def missing_table(ctx):
    """A table that is not there."""
    return raised_by(lambda: ctx.spark.table("rh_no_such_table").collect())


def divide_by_zero(ctx):
    """A runtime error of SQL, with the place in the statement."""
    return raised_by(lambda: ctx.spark.sql("SELECT 1 / (id - id) FROM range(1)").collect())


def divide_by_zero_in_dataframe(ctx):
    """A runtime error whose place is a call of the DataFrame API."""
    frame = ctx.spark.range(1).select(F.lit(1) / F.col("id"))
    return raised_by(frame.collect)


def udf_error(ctx):
    """A UDF that raises: the Python traceback is in the message."""

    @F.udf("long")
    def unlucky(value):
        if value == 7:
            raise ValueError(f"row {value} is unlucky")
        return value

    return raised_by(ctx.spark.range(10).select(unlucky("id")).collect)


def error_after_rows(ctx):
    """An error after part of the result was sent: no rows are passed off as all."""
    frame = ctx.spark.sql(
        "SELECT id, repeat('x', 1000) AS pad, "
        "IF(id = 99999, raise_error('last row'), id) AS v FROM range(0, 100000, 1, 20)"
    )
    seen = 0

    def read_all():
        nonlocal seen
        for _ in frame.toLocalIterator():
            seen += 1

    error = raised_by(read_all)
    return {"complete": seen == 100_000, "error": error}
