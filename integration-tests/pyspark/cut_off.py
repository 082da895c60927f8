# SPDX-License-Identifier: Apache-2.0

"""A query whose rows come slowly, for tests that break the connection meanwhile.

Lines: ``running`` (the first row is there: cut now), ``rows`` (how many came,
whether each came once and in order, seconds since ``running``, the longest wait
for a row). With ``--redial`` grpc waits no longer than that between two dials. With
``--targets`` it dials these addresses in turn in place of the one of ``--remote``.
"""

from pyspark.sql import SparkSession
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.session import SparkSession as ConnectSession

from support import client
from support.report import emit

_ROWS_PER_TASK = 10


def program():
    options = client.arguments(
        __doc__,
        ("--seconds", {"type": float, "default": 10, "help": "length of the query on two cores"}),
        ("--tasks", {"type": int, "default": 40}),
        ("--redial", {"type": float, "help": "longest wait between two dials, in seconds; grpc's own is two minutes"}),
        ("--targets", {"help": "host:port,host:port, all of them IPv4"}),
    )
    spark = _builder(options).getOrCreate()
    spark.sql("SELECT 1").collect()
    pause = max(1, int(options.seconds * 2 / options.tasks / _ROWS_PER_TASK * 1000))
    rows = options.tasks * _ROWS_PER_TASK
    query = (
        f"SELECT id, java_method('java.lang.Thread', 'sleep', {pause}L) "
        f"FROM range(0, {rows}, 1, {options.tasks})"
    )
    count, in_order, longest, watch, last = 0, True, 0.0, client.Stopwatch(), 0.0
    for row in spark.sql(query).toLocalIterator():
        if count == 0:
            watch = client.Stopwatch()
            emit("running")
        in_order = in_order and row.id == count
        count += 1
        longest, last = max(longest, watch.seconds() - last), watch.seconds()
    emit("rows", count=count, complete=in_order and count == rows, seconds=watch.seconds(), longest=longest)
    spark.stop()
    return 0


class _Targets(DefaultChannelBuilder):
    """Dials several addresses, with gRPC's own choice among them (pick_first)."""

    def __init__(self, remote, targets):
        super().__init__(remote)
        self._targets = targets

    @property
    def endpoint(self):
        return f"ipv4:{self._targets}"


def _builder(options):
    if options.targets:
        return ConnectSession.builder.channelBuilder(_Targets(options.remote, options.targets))
    if options.redial is None:
        return SparkSession.builder.remote(options.remote)
    wait = ("grpc.max_reconnect_backoff_ms", int(options.redial * 1000))
    return ConnectSession.builder.channelBuilder(DefaultChannelBuilder(options.remote, channelOptions=[wait]))


if __name__ == "__main__":
    client.main(program)
