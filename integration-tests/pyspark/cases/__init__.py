# SPDX-License-Identifier: Apache-2.0

"""The scenarios, by subject.

Each public function takes a ``support.harness.Context``, does one thing and
returns a JSON-able result that is the same in every run. Functions that run on
the engine are defined inside the scenarios, so that they travel by value.
"""
