# SPDX-License-Identifier: Apache-2.0

"""A PySpark program that knows two gateways, HOST:PORT of each as its arguments, and prints
the progress of one long query. A gateway that dies is nothing that it would notice."""

import sys
import time

from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession

ROWS, TASKS, PAUSE_MS = 600, 60, 40


class Gateways(DefaultChannelBuilder):
    """Dials the first of several addresses that answers; a DNS name with several does the same."""

    def __init__(self, addresses):
        # grpc's own wait between two dials grows to two minutes.
        super().__init__("sc://" + addresses[0], channelOptions=[("grpc.max_reconnect_backoff_ms", 1000)])
        self._addresses = addresses

    @property
    def endpoint(self):
        return "ipv4:" + ",".join(self._addresses)


def main():
    spark = SparkSession.builder.channelBuilder(Gateways(sys.argv[1:])).getOrCreate()
    application = spark.conf.get("spark.app.id")
    say(f"connected: Spark {spark.version}, application {application}, session {spark.session_id}")
    query = f"SELECT id, java_method('java.lang.Thread', 'sleep', {PAUSE_MS}L) FROM range(0, {ROWS}, 1, {TASKS})"
    count, total, longest, last = 0, 0, 0.0, time.monotonic()
    for row in spark.sql(query).toLocalIterator():
        now = time.monotonic()
        longest, last = max(longest, now - last if count else 0.0), now
        count, total = count + 1, total + row.id
        if count % (ROWS // 10) == 0:
            say(f"{count} rows of {ROWS}")
    good = (count, total) == (ROWS, ROWS * (ROWS - 1) // 2)
    say(f"{count} rows, {'each of them once' if good else 'WRONG ROWS'}; the longest wait for a row was {longest:.1f} s")
    same = spark.conf.get("spark.app.id") == application
    say(f"the same session on the same Spark application as before: {'yes' if same else 'NO'}")
    spark.stop()
    return 0 if good and same else 1


def say(text):
    """Tells how far the program is; the script that started it reads that."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
