# SPDX-License-Identifier: Apache-2.0

"""An idle session whose channel pings, then a query on the same channel.

PySpark 4.3 pings every 60 s, also without calls; here any client does, every
``--ping-seconds``. Lines: ``ready``, ``channel`` for each change of the
channel's state (a GOAWAY shows as a change from READY), ``answered`` (seconds
of the query after the pause, the states seen during the pause).
"""

from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession

from support import client, engine
from support.report import emit


def program():
    options = client.arguments(
        __doc__,
        ("--seconds", {"type": float, "required": True, "help": "length of the pause"}),
        ("--ping-seconds", {"type": float, "default": 60, "help": "time between two pings"}),
    )
    channel_options = [
        ("grpc.keepalive_time_ms", int(options.ping_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    builder = DefaultChannelBuilder(options.remote, channel_options)
    spark = SparkSession.builder.channelBuilder(builder).create()
    emit("ready", **engine.describe(spark))
    states = []

    def changed(state):
        states.append(state.name)
        emit("channel", state=state.name)

    spark.client._channel.subscribe(changed)
    client.pause(options.seconds)
    during_pause = list(states)
    watch = client.Stopwatch()
    rows = spark.range(3).count()
    emit("answered", rows=rows, seconds=watch.seconds(), states=during_pause)
    spark.client._channel.unsubscribe(changed)
    spark.stop()
    return 0


if __name__ == "__main__":
    client.main(program)
