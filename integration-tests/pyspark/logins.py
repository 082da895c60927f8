# SPDX-License-Identifier: Apache-2.0

"""Logs in as often as it is told to.

Each line of stdin is one login, a JSON object: ``remote`` and what a channel
builder adds to it, ``authorization`` (the value of that header) or a client
certificate (``certificate`` and ``key``, PEM files; ``ca`` is the authority of
the server). Each is answered by a line ``login``: ``rows`` of a query, or
``text`` of the error. The sessions stay open until stdin ends.
"""

import json
import pathlib
import sys

import grpc
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession

from support import client
from support.report import emit


class LoginChannelBuilder(DefaultChannelBuilder):
    """Says who one is by a header of every call, or by a certificate."""

    def __init__(self, login):
        super().__init__(login["remote"])
        self._login = login

    def metadata(self):
        header = self._login.get("authorization")
        return [*super().metadata(), *([("authorization", header)] if header else [])]

    def toChannel(self):
        if "certificate" not in self._login:
            return super().toChannel()
        ca, key, certificate = (pathlib.Path(self._login[k]).read_bytes() for k in ("ca", "key", "certificate"))
        return self._secure_channel(self.endpoint, grpc.ssl_channel_credentials(ca, key, certificate))


def program():
    sessions = []  # one that is collected would end
    for line in sys.stdin:
        try:
            spark = SparkSession.builder.channelBuilder(LoginChannelBuilder(json.loads(line))).create()
            sessions.append(spark)
            emit("login", rows=len(spark.range(10).collect()))
        except Exception as error:
            emit("login", text=str(error))
    return 0


if __name__ == "__main__":
    client.main(program)
