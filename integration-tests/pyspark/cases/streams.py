# SPDX-License-Identifier: Apache-2.0

"""Streaming queries with Python on both sides."""

import threading

from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQueryListener

from support.errors import describe

_DEADLINE = 90  # seconds for anything that a streaming query has to reach


def foreach_batch(ctx):
    """foreachBatch writes each batch with its number; the test reads what it wrote."""
    source, out = _stream(ctx.spark, _source(ctx, "foreach_batch")), f"{ctx.scratch}/foreach_batch/out"

    def write_batch(batch, batch_id):
        batch.createOrReplaceTempView("rh_batch")
        rows = batch.sparkSession.sql("SELECT id, id * 10 AS tenfold FROM rh_batch")
        rows.withColumn("batch", F.lit(batch_id)).write.mode("append").parquet(out)

    writer = source.writeStream.foreachBatch(write_batch).trigger(availableNow=True)
    query = writer.option("checkpointLocation", f"{ctx.scratch}/foreach_batch/state").start()
    ended = query.awaitTermination(_DEADLINE)
    rows = ctx.spark.read.parquet(out).orderBy("id").collect()
    return {
        "ended": ended,
        "rows": [[r.id, r.tenfold] for r in rows],
        "batches": sorted({r.batch for r in rows}),
    }


def foreach_batch_failure(ctx):
    """An error inside foreachBatch ends the query and reaches the client."""
    source = _stream(ctx.spark, _source(ctx, "foreach_batch_failure"))

    def fail(_batch, batch_id):
        raise ValueError(f"no more of batch {batch_id}")

    query = source.writeStream.foreachBatch(fail).trigger(availableNow=True).start()
    try:
        query.awaitTermination(_DEADLINE)
    except Exception as error:  # the error is the result here
        found = describe(error)
        return {
            "type": found["type"],
            "condition": found["condition"],
            "python_error": "ValueError: no more of batch 0" in found["message"],
            "active": query.isActive,
        }
    raise AssertionError("the query ended without the error of its batch function")


def listener(ctx):
    """A Python listener on the client hears of start, progress and end."""
    source = _source(ctx, "listener")

    class Recorder(StreamingQueryListener):
        def __init__(self):
            self.names, self.rows, self.ended = [], 0, threading.Event()

        def onQueryStarted(self, event):
            self.names.append(f"started {event.name}")

        def onQueryProgress(self, event):
            self.rows += event.progress.numInputRows

        def onQueryIdle(self, event):
            pass

        def onQueryTerminated(self, event):
            self.names.append(f"terminated {event.exception}")
            self.ended.set()

    with ctx.session() as spark:
        recorder = Recorder()
        spark.streams.addListener(recorder)
        writer = _stream(spark, source).writeStream.format("noop").queryName("rh_listened")
        query = writer.trigger(availableNow=True).start()
        query.awaitTermination(_DEADLINE)
        heard = recorder.ended.wait(_DEADLINE)
        spark.streams.removeListener(recorder)
    return {"heard_the_end": heard, "events": recorder.names, "rows": recorder.rows}


def rate_to_memory(ctx):
    """A query without end: found by its session, read while it runs, stopped."""
    with ctx.session() as spark:
        frame = spark.readStream.format("rate").option("rowsPerSecond", 50).load()
        query = frame.writeStream.format("memory").queryName("rh_rate").start()
        _until(lambda: spark.sql("SELECT count(*) AS n FROM rh_rate").first().n >= 10)
        active = [q.name for q in spark.streams.active]
        found = spark.streams.get(query.id).runId == query.runId
        progressed = query.lastProgress is not None and len(query.recentProgress) > 0
        query.stop()
        return {
            "active": active,
            "found": found,
            "progressed": progressed,
            "active_after_stop": query.isActive,
            "error": query.exception() and str(query.exception()),
        }


def _source(ctx, name):
    """Three files of ten rows each, for a streaming query to read one by one."""
    path = f"{ctx.scratch}/{name}/in"
    ctx.spark.range(0, 30, 1, 3).write.parquet(path)
    return path


def _stream(spark, path):
    reader = spark.readStream.schema("id LONG").option("maxFilesPerTrigger", 1)
    return reader.parquet(path)


def _until(reached):
    pause = threading.Event()
    for _ in range(_DEADLINE):
        if reached():
            return
        pause.wait(1)
    raise AssertionError(f"not reached within {_DEADLINE} s")
