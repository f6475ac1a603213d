"""The edges of file sources: standard input, sets of files, what can be read and is hardly meant, spellings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from elspeth.errors import SettingsError, SourceChanged
from elspeth.plugins.contract import Context, Invalid
from elspeth.plugins.sources.csv_source import CsvOptions
from elspeth.plugins.sources.file_options import STDIN
from elspeth.plugins.sources.files import FileSource
from tests.kit.compressed import PACK
from tests.unit.sources.test_many_files import rows, source

BOOL = {"mode": "flexible", "fields": ["b: bool", "f: float"]}


def entry(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


@pytest.fixture
def kept(tmp_path: Path) -> tuple[FileSource, Path]:
    """A source of standard input that was kept in a file."""
    path = tmp_path / "kept"
    path.write_text("a\n1\n2\n")
    made = source("-", file_field="from")
    made.setup(Context("r", "source", inputs=(entry(path),)))
    return made, path


def test_standard_input_is_read_from_where_it_was_kept_and_called_what_it_is(kept: tuple[FileSource, Path]) -> None:
    made, path = kept
    assert [dict(row) for row in rows(made)] == [{"a": "1", "from": "-"}, {"a": "2", "from": "-"}]
    info = made.describe()
    assert (info.files, info.size_bytes, info.headers) == ((STDIN,), 6, {"a": "a", "from": "from"})
    assert made.kept() is not None
    assert made.kept().path == str(path)  # type: ignore[union-attr]
    assert made.fixed() is None
    assert made.inputs() == ()
    assert made.grown(None) is None


def test_standard_input_that_was_not_kept_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="taken by a run alone") as caught:
        rows(source("-"))
    assert caught.value.next_step == "Give a file instead: --set source.options.path=FILE"


@pytest.mark.parametrize("before", [True, False])
def test_what_was_kept_of_standard_input_must_stay_as_it_was(before: bool, kept: tuple[FileSource, Path]) -> None:
    made, path = kept
    if before:
        path.write_text("a\n1\n2\n3\n")
        with pytest.raises(SourceChanged):
            rows(made)
        return
    reading = made.read(None)
    next(reading)
    path.write_text("a\n1\n2\n3\n")
    with pytest.raises(SourceChanged):
        list(reading)


def test_offsets_and_lines_are_counted_over_all_files(tmp_path: Path) -> None:
    for name, text in (("a.csv", "n\n1\n"), ("b.csv", "n\n22\n333\n")):
        (tmp_path / name).write_text(text)
    made = source(tmp_path / "*.csv")
    cursors = [cursor for _, cursor in made.read(None)]
    assert [made.offset(cursor) for cursor in cursors] == [4, 4 + 5, 4 + 9]
    assert [made.line(cursor) for cursor in cursors] == [2, 2, 3]
    assert [made.file(cursor) for cursor in cursors] == [str(tmp_path / name) for name in ("a.csv", "b.csv", "b.csv")]
    info = made.describe()
    assert info.size_bytes == 13
    assert info.files == (tmp_path / "a.csv", tmp_path / "b.csv")
    assert not made.packed()
    assert made.end() is None


def test_a_set_with_a_compressed_file_has_no_size_and_is_packed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n")
    (tmp_path / "b.csv.gz").write_bytes(PACK[".gz"](b"n\n2\n"))
    made = source([tmp_path / "a.csv", tmp_path / "b.csv.gz"])
    assert made.packed()
    cursors = [cursor for _, cursor in made.read(None)]
    assert made.offset(cursors[1]) > made.offset(cursors[0])
    assert not source(tmp_path / "a.csv").packed()
    assert source(tmp_path / "b.csv.gz").packed()


def test_fewer_files_than_were_read_are_a_changed_source(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("n\n1\n")
    made = source(tmp_path / "*.csv")
    reading = made.read(None)
    next(reading)
    _, cursor = next(reading)
    proof = made.proof()
    (tmp_path / "b.csv").unlink()
    with pytest.raises(SourceChanged, match="were read up to number 2 of them, and there are 1 now") as caught:
        source(tmp_path / "*.csv").check(cursor, proof)
    assert "Put the files back and resume" in caught.value.next_step


def test_empty_files_are_refused_where_that_was_asked_for(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("")
    with pytest.raises(SettingsError, match=r"are empty \(0 bytes\), and on_empty is refuse") as caught:
        source(tmp_path / "*.csv", on_empty="refuse").describe()
    assert "on_empty: warn" in caught.value.next_step
    assert source(tmp_path / "*.csv").describe().size_bytes == 0
    (tmp_path / "b.csv").write_text("n\n")
    assert source(tmp_path / "*.csv", on_empty="refuse").describe().size_bytes == 2


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("a,b\n", "a\n", "it lacks b"), ("a\n", "a,b,c\n", "it has b, c besides"),
        ("a,b\n", "b,c\n", "it lacks a and has c besides"),
    ],
)  # fmt: skip
def test_another_header_is_told_with_what_it_lacks_and_has(first: str, second: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(first)
    (tmp_path / "2.csv").write_text(second)
    with pytest.raises(SettingsError) as caught:
        source(tmp_path / "*.csv", on_drift="refuse").describe()
    assert caught.value.message.endswith(f"2.csv has another header than {tmp_path / '1.csv'}: {says}")
    assert source(tmp_path / "*.csv", on_drift="take").describe().headers is None


def test_the_headers_of_like_files_are_known_with_the_field_of_the_file(tmp_path: Path) -> None:
    for name in ("1.csv", "2.csv"):
        (tmp_path / name).write_text("a,b\n")
    made = source(tmp_path / "*.csv", file_field="from")
    assert made.describe().headers == {"a": "a", "b": "b", "from": "from"}
    with pytest.raises(SettingsError, match="wants a field 'a', and there is one already") as caught:
        source(tmp_path / "*.csv", file_field="a").describe()
    assert caught.value.next_step == "Give it another name."


def test_a_refused_row_says_its_file_where_there_are_many_and_in_the_field_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,m\n1\n")
    [single] = rows(source(path, file_field="from"))
    assert isinstance(single, Invalid)
    assert not single.error.startswith("in ")
    assert (single.fields or {})["from"] == str(path)
    [one_of_many] = rows(source([path]))
    assert one_of_many.error.startswith(f"in {path}: ")


@pytest.mark.parametrize(
    ("text", "says", "advice"),
    [
        ("sep=;\na;b\n", "begins with Excel's line `sep=`", "Set skip_rows: 1 and delimiter: ';'."),
        ("sep=\t\na\tb\n", "begins with Excel's line `sep=`", "Set skip_rows: 1 and delimiter: 'tab'."),
        ("a,b\r1,2\r", "ends its lines with a carriage return alone", "Set line_end: cr."),
        ("a;b\n1;2\n", "has a header of one field, 'a;b', with ';' in it", "Set delimiter: ';'."),
        ("a\tb\n1\t2\n", "has a header of one field, 'a\\tb', with '\\t' in it", "Set delimiter: 'tab'."),
        ("a|b\n", "has a header of one field, 'a|b', with '|' in it", "Set delimiter: '|'."),
    ],
)
def test_what_can_be_read_and_is_hardly_meant_is_refused_with_advice(
    text: str, says: str, advice: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    with pytest.raises(SettingsError) as caught:
        source(path).describe()
    assert caught.value.message == f"Source file {path} {says}"
    assert caught.value.next_step.startswith(advice)


@pytest.mark.parametrize(
    ("text", "options", "headers"),
    [
        ("a\n1\n", {}, ["a"]), ("a;b,c\n", {}, ["a_b", "c"]), ("sep=;\na\n", {"skip_rows": 1}, ["a"]),
        ("a\rb\n", {"columns": ["x"]}, ["x"]), ("a;b\n", {"delimiter": ";"}, ["a", "b"]),
        ("a\r1\r", {"line_end": "cr"}, ["a"]), ("a;b\n", {"columns": ["x"], "skip_rows": 1}, ["x"]),
        ("a,b\n", {"ragged": "keep"}, ["a", "b", "_rest"]), ("a,b\n", {"raw": "text"}, ["a", "b", "text"]),
    ],
)  # fmt: skip
def test_what_is_meant_is_taken(text: str, options: dict[str, Any], headers: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    assert list(source(path, **options).describe().headers or ()) == headers


@pytest.mark.parametrize(("text", "skip", "lacks"), [("", 0, False), ("x\n", 1, True), ("x\ny\n", 1, False)])
def test_a_file_that_ends_before_its_header_is_told_apart_from_an_empty_one(
    text: str, skip: int, lacks: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    info = source(path, skip_rows=skip).describe()
    assert info.lacks_header == lacks
    assert (info.headers is None) == (lacks or not text)
    if lacks:
        with pytest.raises(SettingsError, match="ends before a header") as caught:
            source(path, skip_rows=skip, on_empty="refuse").describe()
        assert "skip fewer rows" in caught.value.next_step


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": []}, "needs one at least"),
        ({"path": ["-", "a.csv"]}, "stands alone"),
        ({"path": "./-"}, "a file called `-`"),
        ({"raw": "x", "file_field": "x"}, "the same name"),
        ({"raw": "x", "schema": {"mode": "fixed", "fields": ["a: str"]}}, "the field of option raw: 'x: str'"),
        ({"file_field": "x", "schema": {"mode": "fixed", "fields": ["a: str"]}}, "the field of option file_field"),
        ({"max_expansion": 0}, "greater than 0"),
        ({"thousands_separator": ".."}, "at most 1"),
        ({"true_values": [""]}, "at least 1"),
        ({"true_values": ["ja"], "false_values": ["JA"]}, "ja"),
    ],
)
def test_options_of_a_file_that_cannot_be_meant_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CsvOptions.model_validate({"path": "x.csv", **options})


@pytest.mark.parametrize("schema", [{"mode": "flexible", "fields": ["a: str"]}, {"mode": "observed"},
                                    {"mode": "fixed", "fields": ["a: str", "x: str"]}])  # fmt: skip
def test_a_field_of_the_sources_own_needs_a_name_only_in_a_fixed_schema(schema: dict[str, Any]) -> None:
    assert CsvOptions.model_validate({"path": "x.csv", "raw": "x", "schema": schema}).raw == "x"


def test_spellings_are_those_that_were_given_and_none_where_nothing_was() -> None:
    plain = CsvOptions.model_validate({"path": "x.csv"})
    assert plain.forms is None
    assert (plain.max_expansion, plain.on_empty, plain.compression) == (100, "warn", "auto")
    spelt = CsvOptions.model_validate(
        {"path": "x.csv", "schema": BOOL, "decimal_comma": True, "true_values": ["ja"], "false_values": ["nein"]}
    )
    assert spelt.forms is not None
    assert (spelt.forms.decimal_comma, spelt.forms.true_values) == (True, ("ja",))


def test_a_date_that_the_schema_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError):
        CsvOptions.model_validate({
            "path": "x.csv", "dates": {"born": {"format": "%d.%m.%Y"}},
            "schema": {"mode": "fixed", "fields": ["a: str"]},
        })  # fmt: skip


def test_where_was_looked_is_told_of_a_path_that_depends_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path, looked in (("*.csv", (f"looked in {tmp_path}",)), (tmp_path / "*.csv", ())):
        with pytest.raises(SettingsError, match="this pattern fits no file") as caught:
            source(path).describe()
        assert tuple(caught.value.details) == looked
