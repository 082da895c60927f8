# SPDX-License-Identifier: Apache-2.0

"""Errors as data that is equal from run to run."""

import re

from pyspark.errors import PySparkException

# What differs between two runs of the same failing statement, with the text
# that takes its place. The order matters: ids inside paths go first.
_VOLATILE = (
    (re.compile(r"(?:\n\tat [^\n]*)+"), "\n\tat <frames>"),
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r'File "[^"]*/([^/"]+)", line \d+'), r'File "\1"'),
    (re.compile(r"(?m)^/\S*/([^/\s]+\.py):\d+$"), r"\1"),
    (re.compile(r"#\d+L?"), "#<id>"),
    (re.compile(r"\b([Tt]ask|[Ss]tage) \d+(?:\.\d+)?"), r"\1 <n>"),
    (re.compile(r"\bTID \d+"), "TID <n>"),
    (re.compile(r"\([^()\s]+ executor \w+\)"), "(<executor>)"),
)


def normalise(text):
    """The text without ids, task numbers, JVM frames, and paths and lines of Python files."""
    for pattern, replacement in _VOLATILE:
        text = pattern.sub(replacement, text)
    return text


def describe(error):
    """Everything a user sees of an error, as a JSON-able dictionary."""
    described = {"type": type(error).__name__, "message": normalise(str(error))}
    if isinstance(error, PySparkException):
        described["condition"] = error.getCondition()
        described["sql_state"] = error.getSqlState()
        described["parameters"] = {
            name: normalise(value) for name, value in (error.getMessageParameters() or {}).items()
        }
        described["context"] = [_context(c) for c in error.getQueryContext() or []]
    return described


def raised_by(call):
    """Describes the error that ``call`` raises; it is a fault if it raises none."""
    try:
        value = call()
    except Exception as error:  # the error is the result here
        return describe(error)
    raise AssertionError(f"expected an error, got {value!r}")


def _context(context):
    kind = context.contextType().name
    if kind == "SQL":
        return {
            "kind": kind,
            "fragment": context.fragment(),
            "start": context.startIndex(),
            "stop": context.stopIndex(),
        }
    return {"kind": kind, "fragment": context.fragment()}
