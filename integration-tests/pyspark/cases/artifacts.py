# SPDX-License-Identifier: Apache-2.0

"""Files that the client adds to its session."""

import os
import zipfile

from pyspark.sql import functions as F


def python_file(ctx):
    """An added Python file is importable in a UDF, in its session only."""
    path = os.path.join(ctx.local, "rh_added_module.py")
    with open(path, "w", encoding="utf-8") as out:
        out.write("def tripled(value):\n    return 3 * value\n")

    @F.udf("long")
    def imported(value):
        import rh_added_module

        return rh_added_module.tripled(value)

    @F.udf("string")
    def import_error(_):
        try:
            import rh_added_module  # noqa: F401
        except ModuleNotFoundError as error:
            return str(error)
        return "found"

    with ctx.session() as spark, ctx.session() as other:
        spark.addArtifacts(path, pyfile=True)
        values = [r.v for r in spark.range(4).select(imported("id").alias("v")).collect()]
        elsewhere = other.range(1).select(import_error("id").alias("v")).first().v
    return {"values": values, "other_session": elsewhere}


def archive(ctx):
    """An added archive is unpacked under its alias and readable in a UDF."""
    path = os.path.join(ctx.local, "rh_assets.zip")
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("inner/words.txt", "turn the table")

    @F.udf("string")
    def word(index):
        import os.path

        from pyspark.core.files import SparkFiles

        name = os.path.join(SparkFiles.getRootDirectory(), "assets", "inner", "words.txt")
        with open(name, encoding="utf-8") as words:
            return words.read().split()[index]

    with ctx.session() as spark:
        spark.addArtifacts(f"{path}#assets", archive=True)
        return [r.v for r in spark.range(3).select(word("id").alias("v")).collect()]


def plain_file(ctx):
    """A file of 5 MB crosses in many chunks and arrives whole."""
    path = os.path.join(ctx.local, "rh_plain.bin")
    with open(path, "wb") as out:
        out.write(bytes(range(256)) * 20_000)

    @F.udf("string")
    def content_digest(_):
        import hashlib
        import os.path

        from pyspark.core.files import SparkFiles

        name = os.path.join(SparkFiles.getRootDirectory(), "rh_plain.bin")
        with open(name, "rb") as content:
            return hashlib.sha256(content.read()).hexdigest()

    with ctx.session() as spark:
        spark.addArtifacts(path, file=True)
        return spark.range(1).select(content_digest("id").alias("v")).first().v


def cached_artifact(ctx):
    """A cached blob is asked for by its hash and sent once."""
    blob = b"roundhouse" * 100_000
    with ctx.session() as spark:
        first = spark.client.cache_artifact(blob)
        present = spark.client._artifact_manager.is_cached_artifact(first)
        second = spark.client.cache_artifact(blob)
    return {"hash": first, "present": present, "same": first == second}
