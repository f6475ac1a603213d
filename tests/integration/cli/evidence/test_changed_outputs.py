"""What stands in place of a file that was ours never holds and is never waited for; nor is any later run an excuse."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.fixtures.tampering import tampering
from tests.kit.processes.running import EXAMPLES, elspeth

KEY = "a key for tests"
DATABASE = "runs/audit.db"


def run_in(folder: Path, key: str = "") -> str:
    done = elspeth("run", "--execute", cwd=folder, ELSPETH_SIGNING_KEY=key)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        return str(database.execute("SELECT max(run_id) FROM runs").fetchone()[0])


def lay_out(folder: Path) -> Path:
    shutil.copytree(EXAMPLES / "threshold", folder, ignore=shutil.ignore_patterns("output", "runs", "state"))
    with (folder / "pipeline.yaml").open("a") as file:
        file.write("payload_store: {inline_limit_bytes: 10}\nlandscape: {dump_to_jsonl: true}\n")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lay_out(tmp_path_factory.mktemp("finished") / "run")
    run_in(folder)
    assert elspeth("export", "latest", "-o", "export", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """The folder of a finished run, in its own place; it is put back as it was."""
    shutil.copytree(finished, tmp_path / "kept")
    yield finished
    shutil.rmtree(finished)
    (tmp_path / "kept").rename(finished)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, pytest.MonkeyPatch.context() as patched:
        patched.chdir(path.parent)  # the name of a socket may have hundred characters
        one.bind(path.name)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


WHAT = [a_pipe, a_device, a_socket, a_folder, a_link_to_itself]
FOUND = ("is no regular file", "cannot be read", "is not the manifest of an export", "is not in the payload store")
EXPORTED = ["rows.jsonl", "payloads.jsonl", "manifest.json"]


def replace(path: Path, what: Callable[[Path], None]) -> None:
    path.unlink()
    what(path)


@pytest.mark.parametrize("what", WHAT, ids=lambda what: what.__name__)
def test_what_is_no_file_in_place_of_an_output_does_not_hold(what: Callable[[Path], None], folder: Path) -> None:
    replace(folder / "output/normal.csv", what)
    done = elspeth("verify", "latest", "--outputs", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "an output was tampered with" in done.stdout
    assert any(words in done.stdout for words in FOUND)
    assert "high_values.csv is what run" in done.stdout


@pytest.mark.parametrize("what", WHAT, ids=lambda what: what.__name__)
def test_nor_in_place_of_a_payload_and_no_row_waits_for_it(what: Callable[[Path], None], folder: Path) -> None:
    for path in [path for path in (folder / "state/payloads").rglob("*") if path.is_file()]:
        replace(path, what)
    done = elspeth("verify", "latest", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert any(words in done.stdout for words in FOUND)
    told = elspeth("explain", "--row", "1", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert "payload store" in told.stdout
    elspeth("export", "latest", "-o", "again", cwd=folder)
    assert elspeth("verify", "again/", cwd=folder).returncode == 1  # what is not there was not exported


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.parametrize("what", WHAT, ids=lambda what: what.__name__)
def test_nor_in_place_of_a_file_of_an_export(name: str, what: Callable[[Path], None], folder: Path) -> None:
    replace(folder / "export" / name, what)
    done = elspeth("verify", "export/", cwd=folder)
    printed = done.stdout + done.stderr
    assert done.returncode == 1, printed
    assert any(words in printed for words in FOUND)
    assert "bug in Elspeth" not in printed


@pytest.mark.parametrize("what", [a_pipe, a_device, a_socket], ids=lambda what: what.__name__)
def test_nor_in_place_of_a_journal(what: Callable[[Path], None], folder: Path) -> None:
    (journal,) = (folder / "runs").glob("*.jsonl")
    replace(journal, what)
    done = elspeth("verify", journal, cwd=folder)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    folder = lay_out(tmp_path_factory.mktemp("pair") / "run")
    first = run_in(folder, KEY)
    (folder / "input.csv").write_text("id,customer,amount\n1,Zoe,5\n2,Yan,5000\n")
    second = run_in(folder, KEY)
    done = elspeth("verify", first, "--outputs", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert f"was replaced: it is what the later run {second} wrote" in done.stdout
    return folder, first, second


@pytest.fixture
def replaced(pair: tuple[Path, str, str], tmp_path: Path) -> Iterator[tuple[Path, str, str]]:
    """Two signed runs with the same outputs: the folder, the earlier run, the later one. It is put back as it was."""
    shutil.copytree(pair[0], tmp_path / "kept")
    yield pair
    shutil.rmtree(pair[0])
    (tmp_path / "kept").rename(pair[0])


def claim_an_output(folder: Path, later: str) -> None:
    """An edited output, and records of the later run that say it was so."""
    output = folder / "output/normal.csv"
    output.write_text("id,customer,amount\n1,Eve,1\n")
    with tampering(folder / DATABASE) as database:
        database.execute(
            "UPDATE artifacts SET size_bytes = ?, content_hash = ? WHERE artifact_id = ?",
            (output.stat().st_size, hashlib.sha256(output.read_bytes()).hexdigest(), f"{later}!output.normal"),
        )


def edit_its_rows(folder: Path, later: str) -> None:
    with tampering(folder / DATABASE) as database:
        database.execute("UPDATE rows SET line = line + 1 WHERE run_id = ?", (later,))


def edit_its_status(folder: Path, later: str) -> None:
    with tampering(folder / DATABASE) as database:
        database.execute("UPDATE runs SET failure = 'none' WHERE run_id = ?", (later,))


def take_its_end(folder: Path, later: str) -> None:
    with tampering(folder / DATABASE) as database:
        for table in ("commits", "commit_tables"):
            database.execute(f"DELETE FROM {table} WHERE run_id = ? AND commit_no > 0", (later,))


@pytest.mark.parametrize(
    "change", [claim_an_output, edit_its_rows, edit_its_status, take_its_end], ids=lambda change: change.__name__
)
@pytest.mark.parametrize("key", ["", KEY], ids=["no key", "key"])
def test_a_later_run_that_does_not_hold_is_no_excuse(
    change: Callable[[Path, str], None], key: str, replaced: tuple[Path, str, str]
) -> None:
    folder, first, second = replaced
    change(folder, second)
    assert elspeth("verify", second, cwd=folder, ELSPETH_SIGNING_KEY=key).returncode == 1
    done = elspeth("verify", first, "--outputs", cwd=folder, ELSPETH_SIGNING_KEY=key)
    assert done.returncode == 1
    assert f"it is what the later run {second} wrote, but that one does not hold" in done.stdout


def test_a_later_run_without_signatures_is_an_excuse_only_where_the_key_is_not_at_hand(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "replaced")
    first = run_in(folder, KEY)
    (folder / "input.csv").write_text("id,customer,amount\n1,Zoe,5\n2,Yan,5000\n")
    second = run_in(folder)
    assert elspeth("verify", first, "--outputs", cwd=folder).returncode == 0
    done = elspeth("verify", first, "--outputs", cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert done.returncode == 1
    assert f"it is what the later run {second} wrote, but that one does not hold" in done.stdout
