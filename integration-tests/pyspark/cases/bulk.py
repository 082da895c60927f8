# SPDX-License-Identifier: Apache-2.0

"""Large results and large inputs.

A row is an id and a payload that follows from the id, 200 bytes together. The
digest covers every row in order, and the client computes it on its own too: a
lost, doubled, changed or misplaced row cannot go unseen.
"""

import hashlib

import pyarrow as pa
from pyspark.sql import functions as F

_REPEAT = 3  # times 64 hexadecimal digits, plus 8 bytes of id: 200 bytes a row


def large_result_arrow(ctx):
    """All rows (200 MiB by default) by toArrow()."""
    rows = ctx.rows
    table = _frame(ctx.spark, rows).toArrow()
    return _checked(_arrow_rows(table), range(rows))


def large_result_pandas(ctx):
    """A quarter of the rows by toPandas()."""
    rows = ctx.rows // 4
    frame = _frame(ctx.spark, rows).toPandas()
    return _checked(zip(frame["id"].tolist(), frame["payload"].tolist()), range(rows))


def large_result_iterator(ctx):
    """An eighth of the rows, sorted downwards, by toLocalIterator()."""
    rows = ctx.rows // 8
    ordered = _frame(ctx.spark, rows).orderBy(F.col("id").desc())
    iterator = ordered.toLocalIterator(prefetchPartitions=True)
    return _checked(((r.id, r.payload) for r in iterator), range(rows - 1, -1, -1))


def large_single_row(ctx):
    """One row of message_mb: it cannot be split into batches."""
    times = ctx.message_mb * (1 << 20) // 10
    value = ctx.spark.sql(f"SELECT repeat('0123456789', {times}) AS v").toArrow()["v"][0].as_py()
    if value != "0123456789" * times:
        raise AssertionError(f"the value of {len(value)} characters differs from what was asked for")
    return {"length": len(value)}


def local_relation_inline(ctx):
    """A tenth of the rows (20 MiB) inside the plan of one request."""
    return _local_relation(ctx, ctx.rows // 10, cache_threshold=1 << 30)


def local_relation_cached(ctx):
    """A tenth of the rows (20 MiB) uploaded as a cached artifact."""
    return _local_relation(ctx, ctx.rows // 10, cache_threshold=1 << 16)


def local_relation_message_limit(ctx):
    """message_mb inside one request (100 is near the limit of 128 that Spark sets)."""
    return _local_relation(ctx, ctx.message_mb * (1 << 20) // 200, cache_threshold=1 << 30)


def _local_relation(ctx, rows, cache_threshold):
    payloads = [_payload(i) for i in range(rows)]
    table = pa.table({"id": pa.array(range(rows), pa.int64()), "payload": payloads})
    with ctx.session() as spark:
        spark.conf.set("spark.sql.session.localRelationCacheThreshold", cache_threshold)
        frame = spark.createDataFrame(table)
        on_engine = F.repeat(F.sha2(F.col("id").cast("string"), 256), _REPEAT)
        row = frame.agg(
            F.count(F.lit(1)).alias("rows"),
            F.sum("id").alias("ids"),
            F.sum((F.col("payload") == on_engine).cast("long")).alias("intact"),
        ).first()
    return row.asDict()


def _frame(spark, rows):
    payload = F.repeat(F.sha2(F.col("id").cast("string"), 256), _REPEAT)
    return spark.range(0, rows, 1, 4).select("id", payload.alias("payload"))


def _payload(row_id):
    return hashlib.sha256(str(row_id).encode()).hexdigest() * _REPEAT


def _arrow_rows(table):
    for batch in table.to_batches(max_chunksize=1 << 16):
        yield from zip(batch.column("id").to_pylist(), batch.column("payload").to_pylist())


def _checked(rows, expected_ids):
    got = _digest(rows)
    expected = _digest((row_id, _payload(row_id)) for row_id in expected_ids)
    if got != expected:
        raise AssertionError(f"rows differ from what was asked for: {got}, expected {expected}")
    return got


def _digest(rows):
    digest = hashlib.sha256()
    count = size = 0
    for row_id, payload in rows:
        digest.update(b"%d:%s\n" % (row_id, payload.encode()))
        count += 1
        size += 8 + len(payload)
    return {"rows": count, "bytes": size, "sha256": digest.hexdigest()}
