# SPDX-License-Identifier: Apache-2.0

"""The list of all scenarios, in the order in which they run."""

from cases import artifacts, basics, bulk, failures, functions, interrupts, sessions, streams

SCENARIOS = (
    basics.sql_query,
    basics.dataframe_query,
    basics.pandas_round_trip,
    basics.temp_view,
    basics.config_rpc,
    basics.analyze_calls,
    basics.files_round_trip,
    basics.observed_metrics,
    basics.progress_reports,
    functions.python_udf,
    functions.arrow_udf,
    functions.pandas_udf,
    functions.apply_in_pandas,
    functions.map_in_pandas_and_arrow,
    functions.table_function,
    artifacts.python_file,
    artifacts.archive,
    artifacts.plain_file,
    artifacts.cached_artifact,
    streams.foreach_batch,
    streams.foreach_batch_failure,
    streams.listener,
    streams.rate_to_memory,
    interrupts.session_tags,
    interrupts.interrupt_tag,
    interrupts.interrupt_operation,
    interrupts.interrupt_nothing,
    failures.analysis_error,
    failures.analysis_error_of_schema,
    failures.parse_error,
    failures.missing_table,
    failures.divide_by_zero,
    failures.divide_by_zero_in_dataframe,
    failures.udf_error,
    failures.error_after_rows,
    sessions.clone_session,
    sessions.new_session,
    sessions.operation_status,
    sessions.session_by_id,
    sessions.same_session,
    sessions.concurrent_queries,
    sessions.concurrent_sessions,
    bulk.large_result_arrow,
    bulk.large_result_pandas,
    bulk.large_result_iterator,
    bulk.large_single_row,
    bulk.local_relation_inline,
    bulk.local_relation_cached,
    bulk.local_relation_message_limit,
    sessions.stop_session,
)


def select(only, skip):
    """The scenarios named in ``only`` (all when empty) without those in ``skip``.

    Raises ValueError for a name that no scenario has.
    """
    known = {scenario.__name__ for scenario in SCENARIOS}
    unknown = sorted((set(only) | set(skip)) - known)
    if unknown:
        raise ValueError(f"no scenario is named {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return [
        scenario
        for scenario in SCENARIOS
        if (not only or scenario.__name__ in only) and scenario.__name__ not in skip
    ]
