# SPDX-License-Identifier: Apache-2.0
"""What PySpark does in the smoke test, one function per client program.

Run as: clients.py <function> <sc:// url> [argument]. PySpark keeps one default session per process
and wants a client's process of its own.
"""

import os
import sys
import time

from pyspark.sql import SparkSession


def connect(url):
    return SparkSession.builder.remote(url).getOrCreate()


def query(url, _):
    spark = connect(url)
    assert spark.range(10).count() == 10
    assert spark.sql("SELECT 1 AS one").collect()[0].one == 1
    key = "spark.connect.authenticate.token"
    try:
        seen = spark.conf.get(key, "unset")
    except Exception as refused:  # 4.3 hides the value, 4.0 has none: both are fine.
        seen = str(refused)
    token = url.split("token=")[1].split(";")[0]
    assert token not in str(seen), "the session shows the engine's token"
    assert token not in str(spark.sql("SET -v").collect()) + str(spark.sql("SET").collect())
    spark.stop()


def refused(url, _):
    try:
        connect(url).range(1).count()
    except Exception as e:
        assert "UNAUTHENTICATED" in str(e) or "Unauthenticated" in str(e) or "token" in str(e), e
        return
    raise AssertionError("a wrong token was let in")


def hold(url, seconds):
    """Opens a session, makes no call for a while, and prints what the next one gets."""
    spark = connect(url)
    assert spark.range(3).count() == 3
    time.sleep(float(seconds))
    try:
        spark.range(3).count()
    except Exception as e:
        print(type(e).__name__, str(e).strip().splitlines()[0], flush=True)
        os._exit(0)  # No release at exit.
    raise AssertionError("the session is still open")


def analyze(url, seconds):
    """Uses AnalyzePlan only."""
    spark = connect(url)
    print("session", spark.session_id, flush=True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        assert spark.sql("SELECT %d AS a" % int(time.monotonic())).schema is not None
        time.sleep(0.5)
    spark.stop()


def stream(url, seconds):
    """Runs foreachBatch and a Python listener, makes no call for a while, then stops the query."""
    from pyspark.sql.streaming.listener import StreamingQueryListener

    class Listener(StreamingQueryListener):
        def onQueryStarted(self, event):
            pass

        def onQueryProgress(self, event):
            pass

        def onQueryIdle(self, event):
            pass

        def onQueryTerminated(self, event):
            pass

    spark = connect(url)
    spark.streams.addListener(Listener())

    def batch(df, number):
        df.sparkSession.sql("CREATE OR REPLACE GLOBAL TEMP VIEW seen AS SELECT %d AS n" % number)

    running = (spark.readStream.format("rate").option("rowsPerSecond", 5).load()
               .writeStream.foreachBatch(batch).trigger(processingTime="500 milliseconds").start())
    end = time.monotonic() + 60
    while True:
        try:
            if spark.sql("SELECT n FROM global_temp.seen").collect()[0].n >= 1:
                break
        except Exception:
            assert running.exception() is None, running.exception()
        assert time.monotonic() < end, "foreachBatch never ran"
        time.sleep(0.5)
    print("session", spark.session_id, flush=True)
    time.sleep(float(seconds))
    assert running.isActive, "the query was ended: %s" % running.exception()
    print("quiet over", flush=True)
    running.stop()
    spark.stop()


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
