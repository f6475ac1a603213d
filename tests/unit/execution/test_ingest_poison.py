"""A row that is set aside instead of being run."""

from elspeth.coordinator.blame import Conviction
from elspeth.execution.codec import RowBatch
from elspeth.execution.compile import compile_executor
from elspeth.execution.ingest import Ingest
from elspeth.execution.recorder import Recorder
from elspeth.graph.build import build
from elspeth.plugins.contract import Context
from elspeth.settings.model import Settings


def test_a_row_is_set_aside_where_there_is_no_step_to_blame() -> None:
    settings = Settings.model_validate(
        {"source": {"plugin": "csv"}, "sinks": {"out": {"plugin": "csv"}}, "default_sink": "out"}
    )
    recorder = Recorder()
    executor = compile_executor(build(settings), 0, {}, recorder, lambda node: Context("2rypsekv", node))
    rows = RowBatch("source", 7, "2026-01-01T00:00:00.000Z", [{"a": 1}], {}, None)
    Ingest("2rypsekv", executor.graph, executor).poison(rows, 0, Conviction(reason="SIGKILL", detail=0, attempts=3))
    ((_, token, outcome, *_),) = recorder.records["token_outcomes"]
    assert (token, outcome) == ("2rypsekv-000000007", "quarantined")
    assert "killed the process that touched it: SIGKILL" in recorder.records["transform_errors"][0][3]
