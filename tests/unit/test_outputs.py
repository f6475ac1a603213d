"""What is known of an output comes from its sink alone: nobody else reads what is in a position."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

import elspeth
from elspeth import ids
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.outputs import check_outputs
from elspeth.audit.writer import AuditWriter
from elspeth.coordinator.checkpoint import read_checkpoint, start_checkpoint
from elspeth.outputs import OutputInfo, Replaced, SinkState, sink_states
from elspeth.plugins.contract import Sink
from elspeth.plugins.sinks.csv_sink import CsvSink
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS, beginning

DIGEST = hashlib.sha256(b"a,b\n").hexdigest()


@pytest.mark.parametrize("replaces", [None, Replaced(12, 34)])
def test_a_state_comes_out_of_a_checkpoint_as_it_went_in(replaces: Replaced | None) -> None:
    state = SinkState({"sha256": "of something else"}, OutputInfo("out.csv", "/x/out.csv", 4, DIGEST, 2, replaces))
    stored = read_checkpoint(start_checkpoint({"out": state.to_value()}).to_json(), f"{RUN}#0")
    assert sink_states(stored.sink_positions) == {"out": state}


def test_a_position_of_an_older_checkpoint_is_understood() -> None:
    position = {
        "path": "out.csv", "resolved": "/x/out.csv", "size": 0, "sha256": DIGEST, "rows": 0,
        "base": {"replaces": {"size": 12, "mtime_ns": 34}}, "format": {},
    }  # fmt: skip
    state = SinkState.from_value(position)
    assert state.position == position
    assert state.output == OutputInfo("out.csv", "/x/out.csv", 0, DIGEST, 0, Replaced(12, 34))
    assert SinkState.from_value({"rows": 3}).output == OutputInfo(rows=3)


def test_a_sink_that_says_nothing_is_no_file() -> None:
    class Other(Sink):
        """Keeps something else under familiar names."""

        name = "other"

    position = {"path": "queue/7", "size": 3, "sha256": "not of a file", "rows": 3}
    assert Other(Other.Options()).describe(position) == OutputInfo()


def test_a_file_sink_says_what_its_position_vouches_for(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    sink = CsvSink(CsvSink.Options(path=tmp_path / "out"))
    info = sink.describe(sink.inspect())
    assert (info.path, info.size, info.rows) == (str(tmp_path / "out"), 0, 0)
    assert info.replaces is not None
    assert info.replaces.size == 3
    appending = CsvSink(CsvSink.Options(path=tmp_path / "out", mode="append"))
    assert appending.describe(appending.inspect()).sha256 == hashlib.sha256(b"old").hexdigest()


def checkpoint(database: Path, sinks: dict[str, Any]) -> None:
    """A run that is not complete, whose last checkpoint holds this of its sinks."""
    records = beginning()
    records["checkpoints"] = [(ids.checkpoint_id(RUN, 0), 1, 0, None, None, start_checkpoint(sinks).to_json(), NOW)]
    writer = AuditWriter(database)
    writer.create_run({**RUN_COLUMNS, "working_directory": str(database.parent)}, ATTEMPT, records)
    writer.close()


def sentences(database: Path) -> list[str]:
    with AuditReader(database) as reader:
        return [
            checked.finding.sentence
            for checked in check_outputs(reader.connection, RUN, lambda _: True)
            if checked.finding
        ]


def test_a_sink_that_uses_sha256_for_something_else_is_not_called_damaged(tmp_path: Path) -> None:
    position = {"path": "queue/7", "size": 3, "sha256": "not of a file", "rows": 3}
    checkpoint(tmp_path / "audit.db", {"queue": SinkState(position, OutputInfo(rows=3)).to_value()})
    assert sentences(tmp_path / "audit.db") == []


@pytest.mark.parametrize("older", [False, True])
def test_a_file_that_is_not_what_the_checkpoint_says_is_found(older: bool, tmp_path: Path) -> None:
    position = {"path": "out.csv", "resolved": "out.csv", "size": 4, "sha256": DIGEST, "rows": 1}
    state = SinkState(position, OutputInfo("out.csv", "out.csv", 4, DIGEST, 1))
    checkpoint(tmp_path / "audit.db", {"out": position if older else state.to_value()})
    (tmp_path / "out.csv").write_bytes(b"a,b\n1,2\n")
    assert sentences(tmp_path / "audit.db") == []
    (tmp_path / "out.csv").write_bytes(b"a;b\n1;2\n")
    (sentence,) = sentences(tmp_path / "audit.db")
    assert "has another content" in sentence


def test_no_code_outside_the_sinks_reads_keys_of_a_position() -> None:
    package = Path(elspeth.__file__).parent
    own = (package / "plugins" / "sinks", package / "outputs.py")
    reading = re.compile(r"position(?:\[\"|\.get\()|\[\"position\"\](?:\[|\.get)|[\"'](?:resolved|replaces)[\"']")
    found = [
        f"{path.relative_to(package)}:{number}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        if not any(path.is_relative_to(place) for place in own)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if reading.search(line)
    ]
    assert found == []
