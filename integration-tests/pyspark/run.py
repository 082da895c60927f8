# SPDX-License-Identifier: Apache-2.0

"""Runs the scenarios against any Spark Connect address.

One JSON line per scenario on stdout: name, ok, seconds, and result, skipped or
error. ``--out`` names a file for the results without the times: two runs
against engines of one version write equal files, whatever lies between client
and engine. Exit code 0 only when all scenarios were ok, 1 when one was not,
2 when the arguments are wrong.
"""

import argparse
import faulthandler
import gc
import json
import pathlib
import shutil
import sys
import tempfile
import warnings

import pyspark
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from scenarios import SCENARIOS, select
from support.harness import Context, run_one


def main():
    if pyspark.__version__.startswith("4.0."):
        # A session that the garbage collector finds while a thread starts makes this
        # client wait for itself (SparkSession.__del__ takes the lock of the release pool).
        gc.disable()
    options = _options()
    if options.list:
        print("\n".join(scenario.__name__ for scenario in SCENARIOS))
        return 0
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        # The errors that scenarios provoke are in their results; PySpark logs them too.
        PySparkLogger.getLogger(name).setLevel("CRITICAL")
    scratch = options.scratch or tempfile.mkdtemp(prefix="rh-scratch-")
    local = tempfile.mkdtemp(prefix="rh-client-")
    try:
        lines = _run(options, scratch, local)
    finally:
        shutil.rmtree(local, ignore_errors=True)
        if not options.scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    if options.out:
        _write(options.out, lines)
    return 0 if all(line["ok"] for line in lines) else 1


def _options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--remote", help="address of a Spark Connect server or gateway, sc://host:port")
    parser.add_argument("--only", type=_names, default=[], help="names of the scenarios to run, with commas")
    parser.add_argument("--skip", type=_names, default=[], help="names of the scenarios to leave out")
    parser.add_argument("--out", help="file for the comparable results")
    parser.add_argument("--rows", type=int, default=1 << 20, help="rows (200 bytes each) of the large result")
    parser.add_argument(
        "--message-mb", type=int, default=25, help="MiB of the largest message; an engine of 1 GB cannot make 100"
    )
    parser.add_argument("--scratch", help="fresh directory that the engine can write; default: a local one")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one scenario, then exit 1")
    parser.add_argument("--list", action="store_true", help="print the names and do nothing")
    options = parser.parse_args()
    if not options.list and not options.remote:
        parser.error("--remote is needed")
    try:
        options.selected = select(options.only, options.skip)
    except ValueError as error:
        parser.error(str(error))
    return options


def _names(text):
    return [name for name in text.split(",") if name]


def _run(options, scratch, local):
    spark = SparkSession.builder.remote(options.remote).getOrCreate()
    context = Context(options.remote, spark, options.rows, options.message_mb, scratch, local)
    lines = []
    for scenario in options.selected:
        # A scenario that hangs prints the stack of every thread and ends the process.
        faulthandler.dump_traceback_later(options.timeout, exit=True)
        lines.append(run_one(scenario, context))
        print(json.dumps(lines[-1], sort_keys=True), flush=True)
    faulthandler.dump_traceback_later(options.timeout, exit=True)
    spark.stop()
    faulthandler.cancel_dump_traceback_later()
    return lines


def _write(path, lines):
    results = {}
    for line in lines:
        results[line["name"]] = {key: line[key] for key in ("ok", "result", "skipped", "error") if key in line}
    document = {"client": pyspark.__version__, "results": results}
    pathlib.Path(path).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
