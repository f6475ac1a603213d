"""`elspeth copy` brings a run into another database, or says why it does not and leaves that as it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.errors import EXIT_FAILED, EXIT_IN_PROGRESS, EXIT_NOT_FOUND, EXIT_OK, EXIT_TEMPORARY, EXIT_USAGE
from tests.integration.cli.evidence.conftest import Ask, Evidence
from tests.kit.processes.held import held_run, killed_run, make
from tests.kit.processes.running import EXAMPLES, elspeth


def test_all_runs_are_copied_in_any_order_and_hold_there(ask: Ask, evidence: Evidence, tmp_path: Path) -> None:
    target = tmp_path / "archive" / "copies.db"
    for run in reversed(evidence.runs.values()):
        code, answer = ask("copy", run, "--to", target, "--database", evidence.database, "--reason", "archive")
        assert (code, answer["already_there"], answer["run_id"]) == (EXIT_OK, False, run)
        held = ask("verify", run, "--database", evidence.database)[1]
        assert answer["head"]["digest"] == held["head"]["digest"]
        assert answer["records"] == held["records"]
    for run in evidence.runs.values():
        code, answer = ask("verify", run, "--outputs", "--database", target)
        assert (code, answer["findings"], answer["signature"]) == (EXIT_OK, [], "signed, and checked")
        assert ask("replay", run, "--database", target)[0] == EXIT_OK
        code, answer = ask("copy", run, "--to", f"sqlite:///{target}", "--database", evidence.database)
        assert (code, answer["already_there"]) == (EXIT_OK, True)


def test_it_says_what_it_did_and_the_copy_says_who(
    words: Callable[..., str], ask: Ask, evidence: Evidence, tmp_path: Path
) -> None:
    run, target = evidence.runs["expand"], tmp_path / "copies.db"
    assert ask("copy", run, "--to", target, "--database", evidence.database)[0] == EXIT_OK
    assert "is in" in words("copy", run, "--to", target, "--database", evidence.database)
    assert "copy by" in words("status", run, "--database", target)


def test_it_says_which_payloads_stay_where_they_are(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "threshold", tmp_path / "t", ignore=shutil.ignore_patterns("output", "runs", "state"))
    with (tmp_path / "t" / "pipeline.yaml").open("a") as file:
        file.write("payload_store: {inline_limit_bytes: 10}\n")
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path / "t").returncode == 0
    kept = tmp_path / "t" / "state" / "payloads"
    count = sum(path.is_file() for path in kept.rglob("*"))
    for _ in range(2):
        done = elspeth("copy", "latest", "--to", "copy.db", cwd=tmp_path / "t")
        assert f"{count} payloads of it stay files in {kept}: not copied." in " ".join(done.stdout.split())
    done = elspeth("copy", "latest", "--to", "copy.db", "--json", cwd=tmp_path / "t")
    assert json.loads(done.stdout)["payloads"] == {"count": count, "kept_in": [str(kept)]}
    assert elspeth("verify", "latest", "--database", "copy.db", cwd=tmp_path / "t").returncode == 0


def test_without_payloads_nothing_is_said_of_them(ask: Ask, evidence: Evidence, tmp_path: Path) -> None:
    answer = ask("copy", evidence.runs["expand"], "--to", tmp_path / "copy.db", "--database", evidence.database)[1]
    assert answer["payloads"] == {"count": 0, "kept_in": []}


@pytest.mark.parametrize("side", ["--to", "--database"])
def test_a_server_out_of_reach_is_no_reason_to_resume(ask: Ask, evidence: Evidence, side: str) -> None:
    nowhere = "postgresql://ada:secret@127.0.0.1:1/none"
    places = {"--to": evidence.folder / "new.db", "--database": evidence.database} | {side: nowhere}
    words = [str(word) for pair in places.items() for word in pair]
    code, answer = ask("copy", evidence.runs["expand"], *words)
    step = answer["error"]["next_step"]
    assert (code, answer["resumable"], "resume" in step, "secret" in step) == (EXIT_TEMPORARY, False, False, False)
    again = f"elspeth copy {evidence.runs['expand']} --to " if side == "--to" else "the same command again"
    assert again in step
    code, answer = ask("verify", "latest", "--database", nowhere)
    assert (code, answer["error"]["next_step"].rpartition(", ")[2]) == (EXIT_TEMPORARY, "then the same command again")


def test_a_purge_of_the_copy_or_the_original_leaves_the_other(ask: Ask, evidence: Evidence, tmp_path: Path) -> None:
    run, target = evidence.runs["threshold"], tmp_path / "copies.db"
    ask("copy", run, "--to", target, "--database", evidence.database)
    assert ask("purge", "--run", run, "--database", evidence.database)[0] == EXIT_OK
    with closing(sqlite3.connect(target)) as database:
        assert database.execute("SELECT count(source_data) FROM rows").fetchone()[0] > 0
    for database_path in (target, evidence.database):
        assert ask("verify", run, "--database", database_path)[1]["findings"] == []
    code, answer = ask("copy", run, "--to", target, "--database", evidence.database)
    assert (code, "is not the same" in answer["error"]["message"]) == (EXIT_FAILED, True)


def test_what_is_refused_says_why(ask: Ask, evidence: Evidence, tmp_path: Path) -> None:
    run = evidence.runs["threshold"]
    for to, reference, expected in (
        (evidence.database, run, EXIT_USAGE),
        (tmp_path / "new.db", "nothing", EXIT_NOT_FOUND),
        (tmp_path / "new.db", "some.yaml", EXIT_USAGE),
        ("mysql://here/there", run, EXIT_USAGE),
    ):
        code, answer = ask("copy", reference, "--to", to, "--database", evidence.database)
        assert (code, bool(answer["error"]["next_step"])) == (expected, True), answer
    (tmp_path / "text").write_text("no database")
    code, answer = ask("copy", run, "--to", tmp_path / "text", "--database", evidence.database)
    assert (code, (tmp_path / "text").read_text()) == (EXIT_FAILED, "no database")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("form", ["held", "killed"])
def test_a_run_that_lives_or_can_be_resumed_is_not_copied(form: str, tmp_path: Path) -> None:
    settings = make(tmp_path)
    if form == "killed":
        killed_run(settings)
        done = elspeth("copy", "latest", "--to", "copy.db", "--json", cwd=tmp_path)
    else:
        with held_run(settings):
            done = elspeth("copy", "latest", "--to", "copy.db", "--json", cwd=tmp_path)
    assert done.returncode == EXIT_IN_PROGRESS, done.stderr
    message = json.loads(done.stdout)["error"]["message"]
    assert ("is alive" if form == "held" else "has not finished") in message
    assert not (tmp_path / "copy.db").exists()


def test_nothing_is_copied_into_a_file_that_a_run_writes_to(tmp_path: Path, evidence: Evidence) -> None:
    settings, run = make(tmp_path / "held"), evidence.runs["threshold"]
    with held_run(settings):
        target = tmp_path / "held" / "runs" / "audit.db"
        words = ("copy", run, "--to", target, "--database", evidence.database, "--json")
        done = elspeth(*map(str, words), cwd=tmp_path, ELSPETH_SIGNING_KEY="a key for tests")
    assert done.returncode == EXIT_TEMPORARY, done.stderr
    assert "is in use" in json.loads(done.stdout)["error"]["message"]
