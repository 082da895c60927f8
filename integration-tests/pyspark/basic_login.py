# SPDX-License-Identifier: Apache-2.0

"""A query by a user name and a password.

PySpark has no option for them, but its channel builder may add headers. The
password comes from the environment (``LOGIN_PASSWORD``). Lines: ``ready``,
``answered`` (rows).
"""

import base64
import os

from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession

from support import client, engine
from support.report import emit


class BasicChannelBuilder(DefaultChannelBuilder):
    """Says who one is with every call."""

    def __init__(self, url, user, password):
        super().__init__(url)
        pair = base64.b64encode(f"{user}:{password}".encode())
        self._login = ("authorization", "Basic " + pair.decode())

    def metadata(self):
        return [*super().metadata(), self._login]


def program():
    options = client.arguments(__doc__, ("--user", {"required": True, "help": "as the directory knows the person"}))
    builder = BasicChannelBuilder(options.remote, options.user, os.environ["LOGIN_PASSWORD"])
    spark = SparkSession.builder.channelBuilder(builder).create()
    emit("ready", **engine.describe(spark))
    rows = spark.range(1000).repartition(4).count()
    emit("answered", rows=rows)
    spark.stop()
    return 0


if __name__ == "__main__":
    client.main(program)
