"""The plugins of `ops/examples/plugins` keep the contract they explain, and together do what the example promises."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.errors import OutputDamaged, TakenOver
from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Invalid
from elspeth.schema import RowSchema, SchemaError, compile_reader
from elspeth.testing import check_aggregation, check_sink, check_source, check_transform
from elspeth.testing.forked import forked

FOLDER = Path(__file__).parents[3] / "ops" / "examples" / "plugins"
SETTINGS = yaml.safe_load((FOLDER / "pipeline.yaml").read_text())


@pytest.fixture(autouse=True)
def _beside_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    registry.load_files([Path(name) for name in SETTINGS["plugins"]])


def build(kind: registry.Kind, step: dict[str, Any], **changed: Any) -> Any:
    options = {key: value for key, value in step["options"].items() if key != "on_validation_failure"}
    return registry.build(registry.find(kind, step["plugin"]), options | changed, kind)


def test_the_source_keeps_the_contract() -> None:
    check_source(build("source", SETTINGS["source"]))


def test_the_source_notices_that_an_unfinished_last_line_went_on(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"a=1\nb=2")
    path = str(tmp_path / "journal")
    check_source(build("source", SETTINGS["source"], path=path))
    reader = build("source", SETTINGS["source"], path=path)
    *_, (_, cursor) = reader.read(None)
    (tmp_path / "journal").write_bytes(b"a=1\nb=23\n")
    with pytest.raises(Exception, match="changed before line 3"):
        build("source", SETTINGS["source"], path=path).check(cursor, reader.proof())


def test_the_transform_keeps_the_contract() -> None:
    check_transform(build("transform", SETTINGS["transforms"][0]), [{"operator": "ada"}, {"operator": None}, {}])


def test_the_aggregation_keeps_the_contract() -> None:
    rows = [
        {"sensor": "b", "celsius": 1},
        {"sensor": "a", "celsius": 2},
        {"sensor": "b", "celsius": 3},
        {"sensor": "a"},
    ]
    check_aggregation(build("aggregation", SETTINGS["aggregations"][0]), rows)


def test_the_sink_keeps_the_contract(tmp_path: Path) -> None:
    sink = build("sink", SETTINGS["sinks"]["report"], path=str(tmp_path / "table.md"))
    check_sink(sink, [{"a": "x|y", "b": 1}, {"a": "\ud800", "b": 2}, {"a": 1}, {}, {"a": "two\nlines", "b": None}])


ITEMS = [{"a": 1, "b": "x"}, {"a": [1], "b": 2}, {"b": -0.0, "a": None}, {}, {"b": "ü", "a": 2.5}, {"a": 1}]


def table(tmp_path: Path, run_id: str = "kit00000") -> Any:
    registry.load_files([FOLDER / "table_sink.py"])
    sink = registry.build(registry.find("sink", "table"), {"path": str(tmp_path / "out.db"), "table": "out"}, "out")
    sink.setup(Context(run_id=run_id, node_id="out"))
    return sink


def asked(tmp_path: Path, question: str, mode: str = "rw") -> list[Any]:
    with closing(sqlite3.connect(f"file:{tmp_path / 'out.db'}?mode={mode}", uri=True)) as db, db:
        return db.execute(question).fetchall()


def test_the_table_keeps_the_contract_through_real_deaths(tmp_path: Path) -> None:
    check_sink(
        table(tmp_path),
        ITEMS,
        content=lambda: asked(tmp_path, "SELECT a, b FROM out ORDER BY _run, _row"),
        damage=lambda: asked(tmp_path, "UPDATE out SET a = 7 WHERE _row = 1"),
        clear=lambda: (tmp_path / "out.db").unlink(missing_ok=True),
    )


def test_the_table_keeps_the_rows_of_other_runs(tmp_path: Path) -> None:
    for run_id in ("one", "two"):
        sink = table(tmp_path, run_id)
        sink.open(sink.inspect())
        sink.write([{"a": run_id}])
        sink.finish()
        sink.close()
    assert asked(tmp_path, "SELECT _run, _row, a FROM out") == [("one", 1, "one"), ("two", 1, "two")]


def test_the_table_does_not_write_again_what_is_there_and_notices_what_is_another_row(tmp_path: Path) -> None:
    sink = table(tmp_path)
    base = sink.inspect()
    sink.open(base)
    sink.write([{"a": 1}, {"a": 2}])
    sink.flush()
    sink.close()
    again = table(tmp_path)
    again.open(base)
    again.write([{"a": 1}])
    assert again.flush()["rows"] == 1
    assert asked(tmp_path, "SELECT a FROM out") == [(1,), (2,)]
    again.write([{"a": 3}])
    with pytest.raises(OutputDamaged, match=r"Row 2 of .* is not the one that is written again"):
        again.flush()
    again.close()
    assert asked(tmp_path, "SELECT a FROM out") == [(1,), (2,)]


def test_a_process_from_which_the_table_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    frozen = table(tmp_path)
    base = frozen.inspect()
    frozen.open(base)
    frozen.write([{"a": 1}])
    heir = table(tmp_path)
    heir.open(base, replace=True)
    with pytest.raises(TakenOver):
        frozen.flush()
    frozen.close()
    heir.write([{"a": 2}])
    heir.finish()
    heir.close()
    assert asked(tmp_path, "SELECT _row, a FROM out") == [(1, 2)]


def test_the_table_comes_back_from_a_transaction_that_a_kill_left_half_written(tmp_path: Path) -> None:
    """The journal is hot: nobody can read the database before somebody who may write has rolled it back."""
    rows = [{"a": number, "b": "x" * 500} for number in range(2000)]

    def life(tell: Callable[[Any], None]) -> None:
        sink = table(tmp_path)
        sink.open(sink.inspect())
        sink.write(rows[:10])
        tell(sink.flush())
        sink._db.execute("PRAGMA cache_size = 5")  # so that it cannot keep in memory what is not committed
        insert = sink._insert

        def stopping(db: sqlite3.Connection, text: str) -> None:
            if sink._rows == 1990:
                tell("half")
                signal.pause()
            insert(db, text)

        sink._insert = stopping
        sink.write(rows[10:])
        sink.flush()

    with forked(life) as heard:
        position = next(heard)
        assert next(heard) == "half"
    assert (tmp_path / "out.db-journal").stat().st_size > 0
    with pytest.raises(sqlite3.OperationalError):
        asked(tmp_path, "SELECT count(*) FROM out", "ro")
    heir = table(tmp_path)
    heir.check(position)
    heir.open(position)
    heir.write(rows[10:])
    heir.finish()
    heir.close()
    assert asked(tmp_path, "SELECT _row - 1, a, length(b) FROM out ORDER BY _row") == [
        (number, number, 500) for number in range(2000)
    ]


def test_the_four_together_write_what_the_example_says(tmp_path: Path) -> None:
    context = Context(run_id="r", node_id="n", state_directory=tmp_path)
    read = compile_reader(RowSchema.parse(SETTINGS["source"]["options"]["schema"]))
    mask = build("transform", SETTINGS["transforms"][0])
    rows = []
    for row, _ in build("source", SETTINGS["source"]).read(None):
        try:
            rows += [] if isinstance(row, Invalid) else [mask.process(read(row), context)]
        except SchemaError:
            continue
    peaks = build("aggregation", SETTINGS["aggregations"][0])
    count = SETTINGS["aggregations"][0]["trigger"]["count"]
    sink = build("sink", SETTINGS["sinks"]["report"], path=str(tmp_path / "peaks.md"))
    sink.open(sink.inspect())
    for start in range(0, len(rows), count):
        sink.write(peaks.process(rows[start : start + count], context))
    sink.finish()
    sink.close()
    assert (tmp_path / "peaks.md").read_bytes() == (FOLDER / "expected" / "peaks.md").read_bytes()
