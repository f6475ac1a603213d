"""A cursor into a file comes with proof: edits, cuts and replacements are found before anything is read."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from elspeth.errors import SettingsError, SourceChanged, Temporary
from elspeth.plugins.sources.hashed_file import HashedFile
from elspeth.plugins.sources.text_source import TextOptions, TextSource

LINES = "one\ntwo\nthree\nfour\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "input.txt"
    path.write_text(LINES)
    return path


class FailingFile(io.FileIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def source(path: Path) -> TextSource:
    return TextSource(TextOptions(path=path))


def after(path: Path, count: int) -> tuple[Any, str]:
    reading = source(path)
    rows = reading.read(None)
    for _ in range(count):
        _, cursor = next(rows)
    rows.close()  # type: ignore[attr-defined]
    return cursor, reading.proof()


def test_the_proof_is_the_sha_256_of_everything_before_the_cursor(path: Path) -> None:
    cursor, proof = after(path, 2)
    assert cursor == [8, 2]
    assert proof == hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert source(path).offset(cursor) == 8


def test_nothing_read_is_proved_by_the_hash_of_nothing(path: Path) -> None:
    assert source(path).proof() == hashlib.sha256().hexdigest()


def test_a_check_leaves_the_running_hash_so_that_the_prefix_is_read_once(path: Path) -> None:
    cursor, proof = after(path, 2)
    resumed = source(path)
    resumed.check(cursor, proof)
    path.write_text("xxx\ntwo\nthree\nfour\n")  # from here on nobody looks at it again
    assert [row for row, _ in resumed.read(cursor)] == [{"text": "three"}, {"text": "four"}]
    assert resumed.proof() == hashlib.sha256(LINES.encode()).hexdigest()


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ("ONE\ntwo\nthree\nfour\n", "the number of lines is the same"),
        ("one\ntwo\nthrice\nfour\n", "line 3 now runs across byte 14"),
        ("x\ny\none\ntwo\nthree\nfour\n", "line 5 now runs across byte 14"),
        ("o\n\n\ntwo\nthree\nfour\n", "hold 5 line ends now"),
    ],
)
def test_an_edit_before_the_cursor_is_found_and_told_as_far_as_it_can_be(path: Path, now: str, words: str) -> None:
    cursor, proof = after(path, 3)
    path.write_text(now)
    with pytest.raises(SourceChanged) as caught:
        source(path).check(cursor, proof)
    assert "was changed: the part processed already, up to line 3," in caught.value.message
    assert words in caught.value.details[0]
    assert "--force-new" in caught.value.next_step


def test_a_file_that_has_become_shorter_is_found(path: Path) -> None:
    cursor, proof = after(path, 3)
    path.write_text("one\ntwo\n")
    with pytest.raises(SourceChanged, match=r"processed up to byte 14 \(line 3\), it has 8 bytes now"):
        source(path).check(cursor, proof)
    with pytest.raises(SourceChanged, match="shorter"):
        next(source(path).read(cursor))


def test_a_file_that_is_gone_has_changed(path: Path) -> None:
    cursor, proof = after(path, 1)
    path.unlink()
    with pytest.raises(SourceChanged, match="was processed up to line 1 and cannot be read any more"):
        source(path).check(cursor, proof)


def test_rows_appended_behind_a_complete_last_line_are_read_like_the_rest(path: Path) -> None:
    cursor, proof = after(path, 4)
    with path.open("a") as file:
        file.write("five\n")
    resumed = source(path)
    resumed.check(cursor, proof)
    assert [row for row, _ in resumed.read(cursor)] == [{"text": "five"}]


def test_bytes_appended_to_a_last_line_without_line_end_change_the_source(path: Path) -> None:
    path.write_text("one\ntwo")
    cursor, proof = after(path, 2)
    assert cursor == [7, 2, "end"]
    source(path).check(cursor, proof)
    assert list(source(path).read(cursor)) == []
    with path.open("a") as file:
        file.write("\nthree\n")
    with pytest.raises(SourceChanged, match="its last line had no line end"):
        source(path).check(cursor, proof)
    with pytest.raises(SourceChanged, match="its last line had no line end"):
        next(source(path).read(cursor))


def test_a_missing_file_a_folder_and_a_pipe_are_refused_in_words(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "folder").mkdir()
    for bad, words in (
        (tmp_path / "none.txt", "does not exist"),
        (tmp_path / "folder", "holds no file"),
        (pipe, "is a pipe"),
    ):
        for use in (lambda s: s.describe(), lambda s: next(s.read(None))):
            with pytest.raises(SettingsError, match=words) as caught:
                use(source(bad))
            assert str(bad) in caught.value.message
            assert caught.value.next_step


def test_a_file_without_read_permission_is_refused_in_words(path: Path) -> None:
    # root may read everything, so the refusal is made up
    refused = PermissionError(errno.EACCES, "Permission denied")
    with patch("os.open", side_effect=refused), pytest.raises(SettingsError, match="cannot be read: Permission denied"):
        source(path).describe()


def test_a_disk_that_fails_while_reading_can_be_mended_and_the_run_resumed(path: Path) -> None:
    rows = source(path).read(None)
    with (
        patch("elspeth.plugins.sources.streams.FileIO", FailingFile),
        pytest.raises(Temporary, match="Input/output"),
    ):
        next(rows)


def test_a_relative_path_says_where_it_was_looked_for() -> None:
    with pytest.raises(SettingsError) as caught:
        source(Path("no-such-file.txt")).describe()
    assert str(Path.cwd()) in caught.value.details[0]


def test_files_are_closed_after_reading_and_after_giving_up(path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    after(path, 2)
    list(source(path).read(None))
    cursor, proof = after(path, 4)
    source(path).check(cursor, proof)
    path.write_text("one\n")
    with pytest.raises(SourceChanged):
        next(source(path).read(cursor))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_mark_in_the_middle_of_a_block_is_hashed_to_the_byte(path: Path) -> None:
    with HashedFile(path).start(4) as file:
        assert file.block() == LINES.encode()[4:]
        file.mark = 6
        assert file.digest() == hashlib.sha256(LINES.encode()[:6]).hexdigest()
        file.mark = 15
        assert file.digest() == hashlib.sha256(LINES.encode()[:15]).hexdigest()
