"""The plugins of `ops/examples/plugins` keep the contract they explain, and together do what the example promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Invalid
from elspeth.schema import RowSchema, SchemaError, compile_reader
from elspeth.testing import check_aggregation, check_sink, check_source, check_transform

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
