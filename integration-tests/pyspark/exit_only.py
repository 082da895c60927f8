# SPDX-License-Identifier: Apache-2.0

"""getOrCreate() without options, and the end of the program.

No call needs an engine here, so none may be launched, and the exit is fast.
Lines: ``created`` (seconds), ``exiting``, ``exited`` (seconds of the exit
handlers, PySpark's own among them).
"""

from support.client import ExitWatch, Stopwatch, arguments, main
from support.report import emit


def program():
    options = arguments(__doc__)
    end = ExitWatch()
    from pyspark.sql import SparkSession

    watch = Stopwatch()
    SparkSession.builder.remote(options.remote).getOrCreate()
    emit("created", seconds=watch.seconds())
    end.exiting()
    return 0


if __name__ == "__main__":
    main(program)
