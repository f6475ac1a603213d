"""`elspeth purge` forgets row data, gives the room back, and leaves evidence that holds."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.chain.records import PURGEABLE
from tests.integration.cli.evidence.conftest import Ask, Evidence
from tests.kit.fixtures.tampering import tampering
from tests.kit.processes.running import EXAMPLES, begin, elspeth, pausing, wait_until


def bodies(database: Path, run: str) -> int:
    """How many values of row data the run still has."""
    with closing(sqlite3.connect(database)) as connection:
        return sum(
            int(connection.execute(f"SELECT count({column}) FROM {table} WHERE run_id = ?", (run,)).fetchone()[0])
            for table, columns in PURGEABLE.items()
            for column in columns
        )


def test_a_dry_run_says_what_would_go_and_changes_no_byte(ask: Ask, evidence: Evidence) -> None:
    before = evidence.database.read_bytes()
    code, answer = ask("purge", "--older-than", "0d", "--dry-run", "--database", evidence.database)
    assert (code, {run["run_id"] for run in answer["runs"]}) == (0, set(evidence.runs.values()))
    assert evidence.database.read_bytes() == before


def test_runs_that_ended_later_are_left_alone(ask: Ask, evidence: Evidence) -> None:
    _, answer = ask("purge", "--older-than", "1d", "--database", evidence.database)
    assert answer["runs"] == []


def test_after_a_purge_no_row_data_is_left_and_the_evidence_holds(ask: Ask, evidence: Evidence) -> None:
    code, answer = ask("purge", "--older-than", "0d", "--reason", "retention", "--database", evidence.database)
    assert (code, len(answer["runs"])) == (0, len(evidence.runs))
    for run in evidence.runs.values():
        assert bodies(evidence.database, run) == 0
        assert ask("verify", run, "--database", evidence.database)[1]["findings"] == []
    for text in (b'"Bo"', b'":1800'):  # as row data holds them: bare digits may stand in any hash
        assert text not in evidence.database.read_bytes()
    with closing(sqlite3.connect(evidence.database)) as connection:
        actions = connection.execute("SELECT action, reason FROM operator_actions").fetchall()
    assert actions == [("purge", "retention")] * len(evidence.runs)


def test_a_purged_row_still_has_its_story_and_says_what_is_no_longer_kept(ask: Ask, evidence: Evidence) -> None:
    run = evidence.runs["second_opinions"]
    ask("purge", "--run", run, "--database", evidence.database)
    _, story = ask("explain", "--run", run, "--row", "1", "--database", evidence.database)
    assert (story["read"]["values"], story["read"]["kept"]) == (None, "no longer kept")
    assert [route["label"] for route in story["tokens"]["passages"][0]["routes"]] == ["income", "history"]
    assert story["tokens"]["becomes"][-1]["end"]["sink"] == "approved"
    assert bodies(evidence.database, evidence.runs["expand"]) > 0


def test_a_whole_run_can_be_removed_and_the_chain_across_runs_holds(ask: Ask, evidence: Evidence) -> None:
    gone = evidence.runs["second_opinions"]
    code, _ = ask("purge", "--run", gone, "--whole", "--reason", "erasure", "--database", evidence.database)
    assert code == 0
    for run in evidence.runs.values():
        assert ask("verify", run, "--database", evidence.database)[1]["findings"] == []
    with closing(sqlite3.connect(evidence.database)) as connection:
        assert connection.execute("SELECT count(*) FROM rows WHERE run_id = ?", (gone,)).fetchone() == (0,)
        row = connection.execute("SELECT action, reason FROM operator_actions WHERE run_id = ?", (gone,)).fetchone()
    assert row == ("remove", "erasure")


@pytest.mark.parametrize("words", [[], ["--whole"]])
def test_what_was_purged_is_not_purged_again(words: list[str], ask: Ask, evidence: Evidence) -> None:
    command = ("purge", "--run", evidence.runs["expand"], *words, "--database", evidence.database)
    assert len(ask(*command)[1]["runs"]) == 1
    content = evidence.database.read_bytes()
    for more in ([], ["--dry-run"]):
        code, answer = ask(*command, *more)
        assert (code, answer["runs"]) == (0, [])
    assert evidence.database.read_bytes() == content
    if not words:
        assert len(ask(*command, "--whole")[1]["runs"]) == 1


def test_a_record_put_back_into_a_removed_run_is_found(ask: Ask, evidence: Evidence) -> None:
    run = evidence.runs["threshold"]
    with closing(sqlite3.connect(evidence.database)) as connection:
        kept = connection.execute("SELECT * FROM tokens WHERE run_id = ? LIMIT 1", (run,)).fetchone()
    ask("purge", "--run", run, "--whole", "--database", evidence.database)
    with tampering(evidence.database) as connection:
        connection.execute(f"INSERT INTO tokens VALUES ({', '.join('?' * len(kept))})", kept)
    _, answer = ask("verify", run, "--database", evidence.database)
    assert [finding["table"] for finding in answer["findings"]] == ["tokens"]


def test_a_run_that_is_under_way_or_was_killed_is_never_purged(tmp_path: Path) -> None:
    pausing(tmp_path, 10)
    process = begin("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path)
    wait_until(lambda: (tmp_path / "reached").exists(), process)
    alive = elspeth("purge", "--run", "latest", cwd=tmp_path)
    process.kill()
    process.communicate()
    dead = elspeth("purge", "--run", "latest", cwd=tmp_path)
    old = elspeth("purge", "--older-than", "0d", cwd=tmp_path)
    assert (alive.returncode, dead.returncode, old.returncode) == (3, 3, 0)
    assert "has not finished" in dead.stderr
    assert "There is nothing to purge." in old.stdout
    (tmp_path / "go").touch()
    assert elspeth("resume", "latest", cwd=tmp_path).returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "threshold", tmp_path / "t", ignore=shutil.ignore_patterns("output", "runs", "state"))
    with (tmp_path / "t" / "pipeline.yaml").open("a") as file:
        file.write("payload_store: {inline_limit_bytes: 10}\n")
    return tmp_path / "t"


def payloads(folder: Path) -> set[str]:
    return {path.name for path in (folder / "state" / "payloads").rglob("*") if path.is_file()}


def test_payloads_go_too_unless_another_run_needs_them(folder: Path) -> None:
    with (folder / "input.csv").open("a") as file:
        file.write("9,Ida,5\n")
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as connection:
        ((first,),) = connection.execute("SELECT run_id FROM runs")
    text = (folder / "input.csv").read_text()
    (folder / "input.csv").write_text(text.replace("9,Ida,5\n", ""))
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    before = payloads(folder)
    assert elspeth("purge", "--run", first, cwd=folder).returncode == 0
    assert len(before) - len(payloads(folder)) == 1
    assert elspeth("verify", first, cwd=folder).returncode == 0
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    assert elspeth("purge", "--older-than", "0d", cwd=folder).returncode == 0
    assert payloads(folder) == set()
    assert elspeth("verify", "latest", cwd=folder).returncode == 0


def test_what_a_killed_worker_had_begun_to_write_into_the_payload_store_goes_too(folder: Path, tmp_path: Path) -> None:
    arms = {"CRASH_POINT": f"payloads.after_put:3:{tmp_path / 'mark'}"}
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder, **arms).returncode == 0
    assert [name for name in payloads(folder) if name.endswith(".partial")]
    assert elspeth("purge", "--run", "latest", cwd=folder).returncode == 0
    assert payloads(folder) == set()
    assert elspeth("verify", "latest", cwd=folder).returncode == 0


def test_a_purge_that_was_killed_is_finished_by_the_same_command(folder: Path, tmp_path: Path) -> None:
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    killed = elspeth("purge", "--run", "latest", cwd=folder, CRASH_POINT=f"audit.in_purge:3:{tmp_path / 'mark'}")
    assert killed.returncode == 1
    assert (tmp_path / "mark").exists()
    assert elspeth("purge", "--run", "latest", cwd=folder).returncode == 0
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    assert payloads(folder) == set()


@pytest.mark.parametrize(
    ("point", "more"),
    [("audit.before_purge:1", ()), ("operator.before_answer:1", ()), ("audit.in_purge:12", ("--whole",))],
)
def test_a_purge_by_age_comes_back_to_a_run_whose_purge_was_killed(
    point: str, more: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    words = ("purge", "--older-than", "0d", *more)
    killed = elspeth(*words, cwd=folder, CRASH_POINT=f"{point}:{tmp_path / 'mark'}")
    assert killed.returncode == 1
    assert "elspeth purge --run" in killed.stderr
    assert elspeth(*words, cwd=folder).returncode == 0
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    assert payloads(folder) == set()
    assert "nothing to purge" in elspeth(*words, cwd=folder).stdout


def test_verify_says_that_a_purge_was_not_finished(folder: Path, tmp_path: Path) -> None:
    inline = ("--set", "payload_store.inline_limit_bytes=65536")
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", *inline, cwd=folder).returncode == 0
    elspeth("purge", "--run", "latest", cwd=folder, CRASH_POINT=f"audit.in_purge:1:{tmp_path / 'mark'}")
    found = elspeth("verify", "latest", cwd=folder)
    assert found.returncode == 1
    assert "did not come to its end" in found.stdout


def test_the_room_is_given_back_and_never_needed_twice(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "threshold" / "pipeline.yaml", tmp_path)
    lines = [f"{number},{'x' * 400},{number}\n" for number in range(20_000)]
    (tmp_path / "input.csv").write_text("id,customer,amount\n" + "".join(lines))
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path).returncode == 0
    database = tmp_path / "runs" / "audit.db"
    before = database.stat().st_size
    assert elspeth("purge", "--run", "latest", cwd=tmp_path).returncode == 0
    assert database.stat().st_size < before - 20_000 * 400 * 0.9
    assert elspeth("verify", "latest", cwd=tmp_path).returncode == 0


PICKY = """
from elspeth.plugins.contract import RowError, Transform


class Picky(Transform):
    name = "picky"

    def process(self, row, ctx):
        if row["id"] == 2:
            raise RowError(f"cannot take SECRET {row['customer']}")
        return row
"""


def test_what_explain_shows_is_gone_after_a_purge_or_is_said_to_stay(tmp_path: Path) -> None:
    (tmp_path / "picky.py").write_text(PICKY)
    (tmp_path / "input.csv").write_text("id,customer,amount\n1,SECRETADA,5\n2,SECRETBO,7\n3,SECRETCY,SECRET\n")
    (tmp_path / "pipeline.yaml").write_text(
        "plugins: [picky.py]\n"
        "source:\n"
        "  plugin: csv\n"
        "  on_validation_failure: bad\n"
        "  options: {path: input.csv, schema: {mode: free, fields: ['id: int', 'amount: int']}}\n"
        "transforms: [{plugin: picky, on_error: bad}]\n"
        "gates: [{name: rich, condition: \"row['customer'] != 'x'\", routes: {'true': out, 'false': out}}]\n"
        "sinks:\n"
        "  out: {plugin: csv, options: {path: out.csv}}\n"
        "  bad: {plugin: csv, options: {path: bad.csv}}\n"
        "default_sink: out\n"
    )
    assert (done := elspeth("run", "--execute", cwd=tmp_path)).returncode == 0, done.stderr
    kept = "1 reason why the source refused a row"
    assert f"{kept} would stay" in elspeth("purge", "--run", "latest", "--dry-run", cwd=tmp_path).stdout
    assert f"{kept} stay, and may quote a value" in elspeth("purge", "--run", "latest", cwd=tmp_path).stdout
    stories = [elspeth("explain", "--row", str(row), *more, cwd=tmp_path).stdout for row in range(3) for more in
               ([], ["--full"], ["--json"])]  # fmt: skip
    shown = [line for story in stories for line in story.splitlines() if "SECRET" in line]
    assert len(shown) == 3
    assert all("expected int, found 'SECRET'" in line for line in shown)
    assert "Why the source refused it stays" in stories[-3]
    whole = elspeth("purge", "--run", "latest", "--whole", cwd=tmp_path)
    assert "reason" not in whole.stdout
    for path in (tmp_path / "runs").glob("audit.db*"):
        assert b"SECRET" not in path.read_bytes()
    assert elspeth("verify", "latest", cwd=tmp_path).returncode == 0
