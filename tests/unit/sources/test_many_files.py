"""Many files are one source: fixed when the run begins, read in order, with one cursor and one proof over all."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from elspeth.errors import SettingsError, SourceChanged
from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Invalid, SourceInfo
from elspeth.plugins.options import OptionProblems
from elspeth.plugins.sources import hashed_file
from elspeth.plugins.sources.file_options import STDIN
from elspeth.plugins.sources.files import FileSource
from elspeth.testing import check_source
from tests.kit.compressed import PACK
from tests.kit.pipelines.source_claims import check_resumable


def source(path: Any, plugin: str = "csv", **options: Any) -> FileSource:
    given = [str(one) for one in path] if isinstance(path, list) else str(path)
    built = registry.build(registry.find("source", plugin), {"path": given, **options}, "source")
    assert isinstance(built, FileSource)
    return built


def rows(made: FileSource) -> list[Any]:
    return [row for row, _ in made.read(None)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.csv").write_text("id,name\n3,Alan\n\n\n")
    (folder / "a.csv").write_text('id,name\n1,Ada\n2,"Gra\nce"\nbad\n')
    (folder / "c.csv").write_text("id,name\n")
    (folder / "d.csv").write_text("name,id\nEdsger,4")  # the last line has no end
    return folder


IDS = ["1", "2", None, "3", "4"]


@pytest.mark.parametrize("named", ["pattern", "folder", "list"])
def test_a_pattern_a_folder_and_a_list_are_read_in_order_and_from_every_cursor(named: str, folder: Path) -> None:
    path = {
        "pattern": folder / "*.csv", "folder": folder, "list": [folder / "a.csv", folder / "[b-d].csv"],
    }[named]  # fmt: skip
    (folder / ".hidden").write_text("not read\n")
    (folder / "sub").mkdir()
    found = rows(source(path))
    assert [None if isinstance(row, Invalid) else row["id"] for row in found] == IDS
    check_source(source(path))
    with patch.object(hashed_file, "BLOCK_BYTES", 5):
        assert check_resumable(lambda: source(path)) == found


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(
    ("plugin", "texts"),
    [
        ("csv", ["a\n1\n2\n", "a\n3\n"]),
        ("json", ['[{"a": 1}, {"a": 2}]', "[]", '[\n{"a":\n3}]']),
        ("text", ["1\n2\n", "", "3"]),
    ],
)
def test_each_format_reads_many_compressed_files(plugin: str, texts: list[str], suffix: str, tmp_path: Path) -> None:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.part{suffix}").write_bytes(PACK[suffix](text.encode()))
    made = source(tmp_path / f"*.part{suffix}", plugin)
    assert len(rows(made)) == 3
    check_source(source(tmp_path / f"*.part{suffix}", plugin))


def test_whoever_only_looks_takes_nothing_of_standard_input() -> None:
    assert source("-").describe() == SourceInfo(files=(STDIN,))


def test_a_list_keeps_its_order(folder: Path) -> None:
    found = rows(source([folder / "d.csv", folder / "b.csv"]))
    assert [row["id"] for row in found] == ["4", "3"]


def test_every_row_can_say_which_file_it_is_from_and_refused_ones_do(folder: Path) -> None:
    made = source(folder / "[ab].csv", file_field="_file")
    assert made.describe().headers == {"id": "id", "name": "name", "_file": "_file"}
    a, b = str(folder / "a.csv"), str(folder / "b.csv")
    found, files, lines = [], [], []
    for row, cursor in made.read(None):
        found.append(row)
        files.append(made.file(cursor))
        lines.append(made.line(cursor))
    assert files == [a, a, a, b]
    assert lines == [2, 3, 5, 2]
    assert [row["_file"] for row in found if not isinstance(row, Invalid)] == [a, a, b]
    (refused,) = [row for row in found if isinstance(row, Invalid)]
    assert refused.error == f"in {a}: has 1 field where 2 are expected"
    assert refused.fields == {"id": "bad", "name": None, "_file": a}
    check_source(source(folder / "[ab].csv", file_field="_file"))


def test_a_single_file_can_be_named_too(folder: Path) -> None:
    assert rows(source(folder / "b.csv", file_field="f")) == [{"id": "3", "name": "Alan", "f": str(folder / "b.csv")}]


def test_a_field_that_is_there_already_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="file_field wants a field 'id'"):
        source(folder, file_field="id").describe()
    (tmp_path / "x.jsonl").write_text('{"f": 1}\n')
    (refused,) = rows(source(tmp_path / "x.jsonl", "json", file_field="f"))
    assert "which the option file_field wants for it" in refused.error
    with pytest.raises(OptionProblems, match="cannot be used"):
        source(folder, file_field="f", schema={"mode": "fixed", "fields": ["id: int"]})


@pytest.mark.parametrize(
    ("path", "words"),
    [("in/*.tsv", "this pattern fits no file"), ("empty", "this folder holds no file"), (["in/a.csv", "gone"], "gone")],
)
def test_nothing_to_read_is_refused_before_a_run(path: Any, words: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    given = [tmp_path / one for one in path] if isinstance(path, list) else tmp_path / path
    for use in (lambda made: made.describe(), rows):
        with pytest.raises(SettingsError, match=words):
            use(source(given))


def test_a_file_that_is_named_twice_is_refused(folder: Path) -> None:
    os.link(folder / "a.csv", folder / "e.csv")
    with pytest.raises(SettingsError, match="is named twice"):
        source(folder).describe()


def test_a_name_with_the_letters_of_a_pattern_is_a_file_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("a\n1\n")
    made = source(tmp_path / "a[1].csv")
    assert rows(made) == [{"a": "1"}]
    assert made.fixed() is None


def test_an_empty_list_is_a_problem_of_the_options() -> None:
    with pytest.raises(OptionProblems):
        source([])


# -- headers that differ -----------------------------------------------------------------------------------------


def test_unlike_headers_are_refused_said_or_taken(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "b.csv").write_text("id,age\n3,41\n")
    with pytest.raises(
        SettingsError, match=r"b.csv has another header than .*a.csv: it lacks name and has age besides"
    ):
        source(folder).describe()
    for on_drift, said in (("warn", 1), ("take", 0)):
        caplog.clear()
        made = source(folder, on_drift=on_drift)
        assert made.describe().headers is None  # nobody can tell which fields a row has
        with caplog.at_level(logging.WARNING):
            assert {"id": "3", "age": "41"} in rows(made)
        assert len([line for line in caplog.messages if "has another header" in line]) == said
        check_source(source(folder, on_drift=on_drift))


def test_empty_files_among_others_are_no_drift_and_all_empty_ones_are_one_empty_source(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
    assert source(tmp_path).describe().size_bytes == 0
    with pytest.raises(SettingsError, match="are empty"):
        source(tmp_path, on_empty="refuse").describe()
    (tmp_path / "b").write_text("a\n1\n")
    assert rows(source(tmp_path, on_empty="refuse")) == [{"a": "1"}]
    source(tmp_path, on_empty="refuse").describe()


# -- what changes --------------------------------------------------------------------------------------------------


def begun(folder: Path, count: int) -> tuple[Any, str, Any]:
    """A cursor, its proof, and the files as they were fixed."""
    made = source(folder)
    iterator = made.read(None)
    for _ in range(count):
        _, cursor = next(iterator)
    fixed = made.fixed()
    assert fixed is not None
    return cursor, made.proof(), tuple((entry.path, entry.size, entry.mtime_ns) for entry in fixed)


def look(made: FileSource, cursor: Any, proof: str) -> None:
    """What a resume looks at before anything is written."""
    made.check(cursor, proof)
    made.describe()


def resumed(folder: Path, fixed: Any) -> FileSource:
    made = source(folder)
    made.setup(Context("r", "source", inputs=fixed))
    return made


def test_a_resume_reads_the_files_that_were_there_when_the_run_began(folder: Path) -> None:
    cursor, proof, fixed = begun(folder, 4)
    (folder / "aa.csv").write_text("id,name\n9,new\n")
    made = resumed(folder, fixed)
    made.check(cursor, proof)
    assert [row["id"] for row, _ in made.read(cursor)] == ["4"]
    assert (
        f"source files appeared since the run began, which is not looked at: {folder / 'aa.csv'}" == made.said_at_end()
    )
    assert "aa.csv" in str(made.grown(cursor))


@pytest.mark.parametrize("name", ["a.csv", "b.csv", "d.csv"])  # behind, at hand, and to come
@pytest.mark.parametrize("change", ["gone", "grown", "shorter"])
def test_a_file_that_vanished_or_has_another_size_is_found_before_a_resume(
    name: str, change: str, folder: Path
) -> None:
    cursor, proof, fixed = begun(folder, 4)
    path = folder / name
    data = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(data + b"5,x\n" if change == "grown" else data[:-1])
    made = resumed(folder, fixed)
    with pytest.raises(SourceChanged, match=rf"{name} (was there when|had)"):
        look(made, cursor, proof)


def test_an_edit_of_the_same_size_is_found_and_the_file_named(folder: Path) -> None:
    cursor, proof, fixed = begun(folder, 4)
    (folder / "a.csv").write_text((folder / "a.csv").read_text().replace("Ada", "Eda"))
    with pytest.raises(SourceChanged, match="Source files were changed") as caught:
        resumed(folder, fixed).check(cursor, proof)
    assert str(folder / "a.csv") in caught.value.details[0]


@pytest.mark.parametrize("change", ["gone", "grown"])
def test_a_file_that_changes_while_others_are_read_stops_the_run(change: str, folder: Path) -> None:
    iterator = source(folder).read(None)
    next(iterator)
    path = folder / "b.csv"
    if change == "gone":
        path.unlink()
    else:
        path.write_text("id,name\n3,Alan\n5,more\n")
    with pytest.raises(SourceChanged, match=r"b.csv (was there when|had)"):
        list(iterator)


def test_a_file_that_grows_while_it_is_read_stops_the_run(folder: Path) -> None:
    iterator = source(folder).read(None)
    next(iterator)
    with (folder / "a.csv").open("a") as file:
        file.write("7,late\n")
    with pytest.raises(SourceChanged, match=r"a.csv had"):
        list(iterator)


def test_files_that_were_read_to_their_end_are_not_read_again_for_the_proof(folder: Path) -> None:
    made = source(folder)
    with patch.object(hashed_file, "_blocks", side_effect=hashed_file._blocks) as read:
        iterator = made.read(None)
        next(iterator)
        before = read.call_count
        list(iterator)
    # For heads and for where rows begin, at most; never for the bytes of a file that was read.
    assert all(call.args[1] <= 4096 for call in read.call_args_list[before:])
