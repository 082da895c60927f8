# SPDX-License-Identifier: Apache-2.0

"""An ordinary PySpark program: nothing in it knows of the gateway but the
address in SPARK_REMOTE. At the end it asks the gateway's REST API, given as its
argument, which engine served it."""

import json
import os
import sys
import urllib.request

from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def session_of(rest: str, session_id: str) -> dict:
    """The session as the gateway shows it to administrators."""
    with urllib.request.urlopen(rest + "/api/v1/admin/sessions", timeout=10) as reply:
        sessions = json.load(reply)
    return next(s for s in sessions if s["identifier"] == session_id)


def main() -> None:
    rest = sys.argv[1]
    print(f"Connecting to {os.environ['SPARK_REMOTE']}; the first session waits for its engine ...", flush=True)
    spark = SparkSession.builder.getOrCreate()
    numbers = spark.range(1_000_000)
    table = (
        numbers.groupBy((F.col("id") % 3).alias("remainder"))
        .agg(F.count("*").alias("rows"), F.sum("id").alias("total"))
        .orderBy("remainder")
    )
    table.show()
    session = session_of(rest, spark.session_id)
    print(f"Spark {spark.version} served session {spark.session_id} of user {session['user']}:")
    print(f"  application id       {session['engineId']}")
    print(f"  engine reference id  {session['engineRefId']}")
    spark.stop()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
