"""Typed values go through CSV and JSON and come back as they were."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth import canonical
from elspeth.plugins.contract import Context
from elspeth.plugins.sinks.csv_sink import CsvSink, CsvSinkOptions
from elspeth.plugins.sinks.json_sink import JsonSink, JsonSinkOptions
from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource
from elspeth.plugins.sources.json_source import JsonOptions, JsonSource
from elspeth.schema import RowSchema, compile_reader
from elspeth.schema.typed_text import READ, to_text

SCHEMA = {"mode": "fixed", "fields": ["p: decimal?", "d: date?", "t: datetime?"]}
ZONES = st.none() | st.just(UTC) | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "p": st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=None),
            "d": st.none() | st.dates(),
            "t": st.none() | st.builds(lambda time, zone: time.replace(tzinfo=zone), st.datetimes(), ZONES),
        }
    ),
    min_size=1,
    max_size=5,
)
FORMATS = {
    "out.csv": (CsvSink, CsvSinkOptions, CsvSource, CsvOptions),
    "out.json": (JsonSink, JsonSinkOptions, JsonSource, JsonOptions),
    "out.jsonl": (JsonSink, JsonSinkOptions, JsonSource, JsonOptions),
}


def text_of(value: Any) -> str | None:
    return None if value is None else to_text(value)


@pytest.mark.parametrize("name", FORMATS)
@given(rows=ROWS.filter(lambda rows: all(_short(row["p"]) for row in rows)))
def test_typed_values_come_back_from_a_file_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    texts = [{field: text_of(value) for field, value in row.items()} for row in rows]
    make_sink, sink_options, make_source, source_options = FORMATS[name]
    sink: Any = make_sink(sink_options(path=folder / name, schema=SCHEMA))  # type: ignore[abstract, arg-type]
    sink.setup(Context(run_id="r", node_id="out", state_directory=folder / "state"))
    sink.open(sink.inspect())
    assert sink.write(texts) == [None] * len(texts)
    sink.finish()
    sink.close()
    source: Any = make_source(source_options(path=_written(folder, name), schema=SCHEMA))  # type: ignore[arg-type]
    read = compile_reader(RowSchema.parse(SCHEMA))
    found = [read(row) for row, _ in source.read(None)]
    assert found == texts
    assert canonical.sha256(found) == canonical.sha256(texts)
    for row, again in zip(rows, found, strict=True):
        for field, kind in (("p", "decimal"), ("d", "date"), ("t", "datetime")):
            assert row[field] == (None if again[field] is None else READ[kind](again[field]))


def _short(value: Decimal | None) -> bool:
    return value is None or abs(value.adjusted()) + len(value.as_tuple().digits) < 4000


def _written(folder: Path, name: str) -> Path:
    return folder / name
