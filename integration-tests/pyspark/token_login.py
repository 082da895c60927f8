# SPDX-License-Identifier: Apache-2.0

"""Queries with a token of the gateway.

The connection string comes from the environment (``LOGIN_REMOTE``), because it
may hold the token. With ``LOGIN_USER`` and ``LOGIN_PASSWORD`` the client
kyuubi-spark-connect fetches the token itself. After ``answered`` (rows) it waits
for a line of input before each further query; an empty one ends it.
"""

import os
import sys

from pyspark.sql.connect.session import SparkSession

from support import client
from support.report import emit


def connect():
    remote, user = os.environ["LOGIN_REMOTE"], os.environ.get("LOGIN_USER", "")
    if not user:
        return SparkSession.builder.remote(remote).create(), None
    from kyuubi.spark_connect import KyuubiSessionBuilder

    builder = KyuubiSessionBuilder(remote, auth="ldap", username=user, password=os.environ["LOGIN_PASSWORD"])
    return builder.getOrCreate(), builder


def program():
    spark, builder = connect()
    fake = "LOGIN_FAKE" in os.environ  # an engine that computes little
    while True:
        rows = len(spark.sql("SELECT rows(1000, 8192, 0)").collect()) if fake else spark.range(1000).count()
        emit("answered", rows=rows, version=spark.version)
        if not sys.stdin.readline().strip():
            break
        if builder:
            builder.renew()
    spark.stop()
    if builder:
        builder.revoke()
        emit("revoked")
    return 0


if __name__ == "__main__":
    client.main(program)
