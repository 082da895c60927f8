# SPDX-License-Identifier: Apache-2.0

"""Ending a running query from another thread."""

import concurrent.futures
import threading

from support.engine import sleeping_query
from support.errors import describe

_LONG_QUERY = sleeping_query(seconds=600)
_DEADLINE = 60  # seconds from a call to its effect
_STEP = 0.2  # seconds between two tries to interrupt a query that is still starting


def interrupt_tag(ctx):
    """interruptTag ends the tagged query and no other; interruptAll the rest."""
    with _threads(2) as pool, ctx.session() as spark:
        left = pool.submit(_run_tagged, spark, "rh-left")
        right = pool.submit(_run_tagged, spark, "rh-right")
        by_tag = _interrupt_until(lambda: spark.interruptTag("rh-left"), left)
        others_run = not right.done()
        by_all = _interrupt_until(spark.interruptAll, right)
        after = spark.sql("SELECT 1 AS one").first().one
    return {"by_tag": by_tag, "others_run": others_run, "by_all": by_all, "after": after}


def interrupt_operation(ctx):
    """interruptOperation ends the query whose id the progress handler told."""
    told, operation = threading.Event(), []

    def handler(stages, inflight_tasks, operation_id, done):
        if inflight_tasks > 0 and not told.is_set():
            operation.append(operation_id)
            told.set()

    with _threads(1) as pool, ctx.session() as spark:
        spark.registerProgressHandler(handler)
        running = pool.submit(lambda: spark.sql(_LONG_QUERY).collect())
        if not told.wait(_DEADLINE):
            raise AssertionError("no progress report came of the running query")
        interrupted = spark.interruptOperation(operation[0])
        outcome = _outcome(running)
    return {"ids_match": interrupted == operation, "outcome": outcome}


def interrupt_nothing(ctx):
    """Interrupting what does not run says so: an empty list."""
    with ctx.session() as spark:
        spark.sql("SELECT 1").collect()
        return {"all": spark.interruptAll(), "tag": spark.interruptTag("rh-nobody")}


def session_tags(ctx):
    """Tags are added, listed, removed and cleared, per thread."""
    with ctx.session() as spark:
        spark.addTag("rh-one")
        spark.addTag("rh-two")
        both = sorted(spark.getTags())
        spark.removeTag("rh-one")
        one = sorted(spark.getTags())
        spark.clearTags()
        return {"both": both, "one": one, "none": sorted(spark.getTags())}


def _threads(count):
    """A pool for queries. Open it before the session: its end waits for queries that the
    session's end cancels."""
    return concurrent.futures.ThreadPoolExecutor(count)


def _run_tagged(spark, tag):
    spark.addTag(tag)
    try:
        return spark.sql(_LONG_QUERY).collect()
    finally:
        spark.clearTags()


def _interrupt_until(interrupt, running):
    """Interrupts until an operation was hit, and tells how the query ended."""
    for _ in range(int(_DEADLINE / _STEP)):
        hit = interrupt()
        if hit:
            return {"operations": len(hit), "outcome": _outcome(running)}
        concurrent.futures.wait([running], timeout=_STEP)
    raise AssertionError("there was never an operation to interrupt")


def _outcome(running):
    error = running.exception(timeout=_DEADLINE)
    if error is None:
        raise AssertionError("the query ended without an error")
    found = describe(error)
    return {"condition": found["condition"], "sql_state": found["sql_state"]}
