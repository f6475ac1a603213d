"""Every sink comes back to every position it answered, and goes on as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth.errors import ElspethError

ROWS = [
    {"text": "plain", "n": 1},
    {"text": 'quotes " and, commas', "n": None},
    {"text": "", "n": True},
    {"text": "é€🦜", "n": 1.5},
    {"text": "end", "n": [1, {"a": None}]},
]
TEXTS = [{"text": row["text"]} for row in ROWS]

FORMATS: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("csv", ROWS, {}),
    ("csv", ROWS, {"line_terminator": "\r\n", "delimiter": ";", "encoding": "utf-8-sig"}),
    ("csv", ROWS, {"encoding": "utf-16"}),
    ("csv", ROWS, {"schema": {"mode": "fixed", "fields": ["n: any", "text: str"]}}),
    ("json", ROWS, {}),
    ("json", ROWS, {"indent": 2}),
    ("json", ROWS, {"format": "jsonl"}),
    ("text", TEXTS, {}),
]
NAMES = ["csv", "csv-crlf-bom", "csv-utf16", "csv-fixed", "json", "json-indent", "jsonl", "text"]
every_format = pytest.mark.parametrize(("kind", "rows", "options"), FORMATS, ids=NAMES)


def through_json(position: Any) -> Any:
    """A position as it comes out of a checkpoint."""
    return json.loads(json.dumps(position))


@every_format
def test_a_sink_that_died_at_any_row_writes_the_same_bytes(kind, rows, options, tmp_path, make_sink, written) -> None:
    expected = written(kind, rows, **options)
    for kept in range(len(rows) + 1):
        for lost in range(kept, len(rows) + 1):
            name = f"out-{kept}-{lost}"
            sink = make_sink(kind, name, **options)
            sink.open(sink.inspect())
            sink.write(rows[:kept])
            position = through_json(sink.flush())
            assert position["rows"] == kept
            sink.write(rows[kept:lost])
            sink.finish()  # on disk, closing bytes and all, but never committed
            sink.close()

            again = make_sink(kind, name, **options)
            again.check(position)
            again.open(position)
            again.write(rows[kept:])
            final = again.finish()
            assert (tmp_path / name).read_bytes() == expected
            assert final["rows"] == len(rows)
            assert final["size"] == len(expected)
            again.close()


@every_format
def test_how_rows_are_cut_into_chunks_does_not_show(kind, rows, options, tmp_path, make_sink, written) -> None:
    sink = make_sink(kind, **options)
    sink.open(sink.inspect())
    for row in rows:
        sink.write([row])
    sink.finish()
    assert (tmp_path / "out").read_bytes() == written(kind, rows, **options)


@every_format
def test_the_final_position_can_be_opened_and_finished_again(kind, rows, options, tmp_path, make_sink) -> None:
    sink = make_sink(kind, **options)
    sink.open(sink.inspect())
    sink.write(rows)
    final = through_json(sink.finish())
    sink.close()
    before = (tmp_path / "out").read_bytes()

    again = make_sink(kind, **options)
    again.open(final)
    assert again.finish() == final
    assert (tmp_path / "out").read_bytes() == before
    with pytest.raises(ElspethError, match="after its end"):
        again.write(rows)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.text(alphabet='",;\r\n a', max_size=4),
    st.lists(st.integers() | st.text(max_size=3), max_size=2),
)
SOME_ROWS = st.lists(st.fixed_dictionaries({"a": VALUES, "b": VALUES}), min_size=1, max_size=8)


@pytest.mark.parametrize("kind", ["csv", "json"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=SOME_ROWS, at=st.integers(0, 8))
def test_any_rows_survive_a_death_at_any_place(kind, rows, at, tmp_path, make_sink, written) -> None:
    expected = written(kind, rows)
    sink = make_sink(kind)
    sink.open(sink.inspect())
    answers = sink.write(rows[:at])
    position = through_json(sink.flush())
    sink.write(rows[at:])
    sink.flush()
    sink.close()
    again = make_sink(kind)
    again.open(position)
    answers += again.write(rows[at:])
    final = again.finish()
    again.close()
    assert (tmp_path / "out").read_bytes() == expected
    assert final["rows"] == answers.count(None)


def test_a_cut_tail_is_copied_before_it_is_cut(tmp_path: Path, make_sink) -> None:
    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write(ROWS[:1])
    position = sink.flush()
    sink.close()
    with (tmp_path / "out").open("ab") as file:
        file.write(b"somebody's note\n")

    (cut,) = make_sink("csv").open(position)
    assert Path(cut.copy).read_bytes() == b"somebody's note\n"
    assert Path(cut.copy).parent == tmp_path / "state" / "cut"
    assert Path(cut.copy).name == f"out-{position['size']}-{cut.sha256[:8]}"
    assert (cut.offset, cut.size_bytes) == (position["size"], 16)
    assert (tmp_path / "out").stat().st_size == position["size"]


def test_opening_at_the_end_of_the_file_cuts_nothing(make_sink) -> None:
    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write(ROWS)
    position = sink.flush()
    sink.close()
    assert make_sink("csv").open(position) == []


def test_inspecting_changes_nothing(tmp_path: Path, make_sink) -> None:
    make_sink("csv", "deep/er/out").inspect()
    (tmp_path / "old").write_bytes(b"a,b\n1,2\n")
    make_sink("csv", "old").inspect()
    make_sink("csv", "old", mode="append").inspect()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() == b"a,b\n1,2\n"


def test_missing_folders_of_an_output_are_created(tmp_path: Path, make_sink) -> None:
    sink = make_sink("csv", "deep/er/out")
    sink.open(sink.inspect())
    sink.write(ROWS)
    sink.finish()
    assert (tmp_path / "deep/er/out").is_file()
