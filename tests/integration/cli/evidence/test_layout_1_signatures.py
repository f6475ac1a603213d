"""What was signed only at the ends of attempts holds by those signatures, and `verify` says by which."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from elspeth.audit.export.journal import Journal
from elspeth.audit.query.reader import AuditReader
from tests.kit.fixtures.tampering import tampering
from tests.kit.fixtures.unpack import KEY, run_ids, unpack
from tests.kit.processes.running import EXAMPLES, elspeth

HELD = [(0, 3, 4), (1, 2, 3), (2, 3, 4)]
"""Of the first three runs in `signed`, the last of the commits that were not signed, and the commit behind them."""


def sentence(last: int, by: int) -> str:
    return (
        f"Commits 0 to {last} are of layout 1, which signed only the end of an attempt:"
        f" they hold by the signature of commit {by}."
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unpack("signed", tmp_path / "signed", layout=1)


def journal_of(folder: Path, run: str) -> Path:
    """The archive has none: it is made from the tables, as one that is missing is."""
    path = folder / "runs" / f"audit.{run}.jsonl"
    journal = Journal(path, run)
    with AuditReader(folder / "runs" / "audit.db") as reader:
        journal.catch_up(reader.connection)
    journal.close()
    return path


@pytest.mark.parametrize(("number", "last", "by"), HELD)
def test_with_the_key_it_is_said_which_commits_hold_by_which_signature(
    number: int, last: int, by: int, folder: Path
) -> None:
    run = run_ids(folder)[number]
    done = elspeth("verify", run, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert done.returncode == 0, done.stdout
    first, second = done.stdout.splitlines()
    assert first == sentence(last, by)
    assert second.startswith(f"Holds: run {run}: 5 commits")
    assert second.endswith("; signed, and checked")
    told = json.loads(elspeth("verify", run, "--json", cwd=folder, ELSPETH_SIGNING_KEY=KEY).stdout)
    assert (told["holds"], told["notes"]) == (True, [sentence(last, by)])
    without = elspeth("verify", run, cwd=folder)
    assert without.returncode == 0
    assert "they hold by" not in without.stdout  # nobody looked at signatures
    assert "not checked, since ELSPETH_SIGNING_KEY is not set" in without.stdout


def test_so_it_is_of_an_export_and_of_a_journal(folder: Path) -> None:
    run = run_ids(folder)[0]
    journal = journal_of(folder, run)
    exported = elspeth("verify", "export/", cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert (exported.returncode, exported.stdout.splitlines()[0]) == (0, sentence(3, 4))
    told = elspeth("verify", journal, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert (told.returncode, told.stdout.splitlines()[0]) == (0, f"Run {run}: {sentence(3, 4)}")
    for target in ("export/", journal):
        without = elspeth("verify", target, cwd=folder)
        assert (without.returncode, "they hold by" in without.stdout) == (0, False)


def test_a_run_that_died_does_not_hold_until_a_resume_has_signed_what_it_left(folder: Path) -> None:
    *_, run = run_ids(folder)
    journal = journal_of(folder, run)
    for target in (run, journal):
        died = elspeth("verify", target, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
        assert died.returncode == 1
        assert "is not signed" in died.stdout
        assert "they hold by" not in died.stdout
    words = ("resume", run, "--working-directory", ".", "--accept-changed-code")
    done = elspeth(*words, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert done.returncode == 0, done.stderr
    done = elspeth("verify", run, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, sentence(2, 3))
    journal_of(folder, run)
    told = elspeth("verify", journal, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert (told.returncode, told.stdout.splitlines()[0]) == (0, f"Run {run}: {sentence(2, 3)}")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE commits SET signature = NULL WHERE commit_no = 4",
        "UPDATE commits SET signature = (SELECT signature FROM commits WHERE commit_no = 4 ORDER BY run_id DESC)",
        "UPDATE rows SET line = line + 1",
    ],
)
def test_what_does_not_hold_is_not_said_to_hold_by_anything(change: str, folder: Path) -> None:
    run = run_ids(folder)[0]
    with tampering(folder / "runs" / "audit.db") as database:
        database.execute(f"{change}{' AND' if 'WHERE' in change[-20:] else ' WHERE'} run_id = ?", (run,))
    done = elspeth("verify", run, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert done.returncode == 1
    assert "they hold by" not in done.stdout


def test_what_was_never_signed_holds_without_the_key_and_not_with_it(tmp_path: Path) -> None:
    kept = unpack("completed", tmp_path / "kept", layout=1)
    (run,) = run_ids(kept)
    now = tmp_path / "now"
    shutil.copytree(EXAMPLES / "threshold", now, ignore=shutil.ignore_patterns("output", "runs", "state"))
    for words in (("run", "--execute", "--set", "landscape.dump_to_jsonl=true"), ("export", "latest", "-o", "export")):
        done = elspeth(*words, cwd=now)
        assert done.returncode == 0, done.stderr
    (journal,) = (now / "runs").glob("*.jsonl")
    for folder, target in (
        (kept, run), (kept, "export/"), (kept, f"runs/audit.{run}.jsonl"), (now, "latest"), (now, "export/"),
        (now, journal),
    ):  # fmt: skip
        assert elspeth("verify", target, cwd=folder).returncode == 0, target
        unsigned = elspeth("verify", target, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
        assert unsigned.returncode == 1, target
        assert "is not signed" in unsigned.stdout
