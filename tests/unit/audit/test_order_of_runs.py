"""Each run's first commit follows the head of the run that began before it, whatever the clock says; verify insists."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.chain.digests import GENESIS
from elspeth.audit.chain.layouts import FIRST
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.links import in_order
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN_COLUMNS, beginning, rows
from tests.kit.fixtures.tampering import rebuild, tampering

ONE, BACK, THREE, FOUR = "mf3k2a9x", "aaaaaaaa", "mf3k2b00", "mf3k2b11"
"""In the order in which they begin; when the second began, the clock was set back."""

RUNS = [ONE, BACK, THREE, FOUR]
END = {"status": "completed", "completed_at": NOW, "failure": None}


def begin(path: Path, run: str) -> None:
    with closing(AuditWriter(path, signing_key=KEY)) as writer:
        writer.create_run({**RUN_COLUMNS, "run_id": run}, ATTEMPT, {**beginning(), "checkpoints": []})


def go_on(path: Path, run: str, attempt: int, first: int, end: dict[str, str | None] | None = None) -> None:
    with closing(AuditWriter(path, signing_key=KEY)) as writer:
        if attempt > 1:
            writer.begin_attempt(run, attempt - 1, ATTEMPT, {})
        writer.commit(run, attempt, rows(first, first + 2, run=run, number=attempt), end)


def ask(path: Path, query: str, *values: object) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [value for (value,) in database.execute(query, values)]


def heads(path: Path) -> dict[str, str]:
    """The digest of each run's last commit."""
    query = "SELECT digest FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1"
    return {run: ask(path, query, run)[0] for run in ask(path, "SELECT run_id FROM runs")}


def followed_by(path: Path, run: str) -> str:
    return ask(path, "SELECT previous_digest FROM commits WHERE run_id = ? AND commit_no = 0", run)[0]


def order(path: Path) -> list[str]:
    with AuditReader(path) as reader:
        return in_order(reader.connection)


def findings(path: Path, run: str, key: bytes | None = None) -> list[Discrepancy]:
    with AuditReader(path) as reader:
        return verify_run(reader, run, key)


def hold(path: Path) -> None:
    for run in ask(path, "SELECT run_id FROM runs"):
        assert findings(path, run) == findings(path, run, KEY) == []


def four(path: Path) -> None:
    for run in RUNS:
        begin(path, run)
        go_on(path, run, 1, 0, END)


def test_each_run_follows_the_head_of_the_one_before_though_the_clock_was_set_back(path: Path) -> None:
    expected = GENESIS
    for run in RUNS:
        begin(path, run)
        assert followed_by(path, run) == expected, run
        go_on(path, run, 1, 0, END)
        expected = heads(path)[run]
    assert order(path) == RUNS
    hold(path)


def test_a_run_that_goes_on_after_another_began_is_followed_once_and_at_its_head_of_then(path: Path) -> None:
    begin(path, ONE)
    go_on(path, ONE, 1, 0)
    then = heads(path)[ONE]
    begin(path, BACK)
    go_on(path, BACK, 1, 0, END)
    go_on(path, ONE, 2, 2, END)
    begin(path, THREE)
    go_on(path, THREE, 1, 0, END)
    assert followed_by(path, BACK) == then != heads(path)[ONE]
    assert followed_by(path, THREE) == heads(path)[BACK]
    assert order(path) == [ONE, BACK, THREE]
    hold(path)


def test_the_first_run_follows_nothing_and_a_run_that_failed_is_followed_like_any(path: Path) -> None:
    begin(path, ONE)
    go_on(path, ONE, 1, 0, {"status": "failed", "completed_at": NOW, "failure": "it broke"})
    begin(path, BACK)
    assert (followed_by(path, ONE), followed_by(path, BACK)) == (GENESIS, heads(path)[ONE])


def point(path: Path, run: str, digest: str) -> None:
    """Let a run begin behind this digest, and whoever follows it follow its new head: all of it fits, but the key."""
    with tampering(path) as database:
        for one in RUNS[RUNS.index(run) :]:
            database.execute("UPDATE commits SET previous_digest = ? WHERE run_id = ? AND commit_no = 0", (digest, one))
            rebuild(database, one)
            query = "SELECT digest FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1"
            (digest,) = database.execute(query, (one,)).fetchone()


def test_pointing_a_run_where_it_pointed_changes_nothing(path: Path) -> None:
    four(path)
    before = heads(path)
    point(path, THREE, before[BACK])
    assert heads(path) == before
    hold(path)


@pytest.mark.parametrize("run", [THREE, FOUR])
@pytest.mark.parametrize(
    ("where", "words"),
    [
        (f"SELECT digest FROM commits WHERE run_id = '{ONE}' ORDER BY commit_no DESC LIMIT 1", "both follow run"),
        (f"SELECT digest FROM commits WHERE run_id = '{ONE}' AND commit_no = 0", "both follow run"),
        (f"SELECT '{GENESIS}'", "runs claim to be the first"),
        (f"SELECT '{'ab' * 32}'", "a run before it was removed or rewritten"),
        (f"SELECT digest FROM commit_tables WHERE run_id = '{BACK}' LIMIT 1", "a run before it was removed"),
        (f"SELECT upper(digest) FROM commits WHERE run_id = '{BACK}' ORDER BY commit_no DESC", "a run before it was"),
        ("SELECT ''", "a run before it was removed"),
    ],
    ids=["head of an older run", "start of an older run", "nothing", "no digest", "a table's digest", "upper case",
         "empty"],
)  # fmt: skip
def test_a_run_that_was_put_elsewhere_in_the_chain_is_found_in_every_run(
    where: str, words: str, run: str, path: Path
) -> None:
    four(path)
    point(path, run, ask(path, where)[0])
    for one in RUNS:
        found = findings(path, one)
        assert {finding.kind for finding in found} == {"chain"}, one
        assert any(words in finding.sentence for finding in found), one
        assert findings(path, one, KEY)


def test_two_runs_that_changed_places_are_found_by_the_key_alone(path: Path) -> None:
    four(path)
    with tampering(path) as database:
        digest = heads(path)[ONE]
        for one in (THREE, BACK, FOUR):
            database.execute("UPDATE commits SET previous_digest = ? WHERE run_id = ? AND commit_no = 0", (digest, one))
            rebuild(database, one)
            query = "SELECT digest FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1"
            (digest,) = database.execute(query, (one,)).fetchone()
    for one in RUNS:
        assert findings(path, one) == []  # who computes all later digests anew is stopped by the key alone
        assert bool(findings(path, one, KEY)) == (one != ONE)


def test_of_runs_of_layout_1_that_nobody_follows_none_is_taken_for_the_last(path: Path) -> None:
    """It followed the highest id: behind a clock that was set back two runs follow the same one."""
    began = ["mmmmmmm1", "bbbbbbb1", "mmmmmmm2"]
    for run in began:
        begin(path, run)
        go_on(path, run, 1, 0, END)
    with tampering(path) as database:
        database.execute("UPDATE commits SET signature = NULL")
        rebuild(database, began[0], FIRST)
        query = "SELECT digest FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1"
        (head,) = database.execute(query, (began[0],)).fetchone()
        for run in began[1:]:
            database.execute("UPDATE commits SET previous_digest = ? WHERE run_id = ? AND commit_no = 0", (head, run))
            rebuild(database, run, FIRST)
    for run in ("aaaaaaa1", "aaaaaaa2"):  # and the clock is set back once more
        begin(path, run)
        go_on(path, run, 1, 0, END)
    assert followed_by(path, "aaaaaaa1") == heads(path)["mmmmmmm2"]
    assert followed_by(path, "aaaaaaa2") == heads(path)["aaaaaaa1"]
    assert order(path)[-2:] == ["aaaaaaa1", "aaaaaaa2"]
    for run in (*began, "aaaaaaa1", "aaaaaaa2"):
        assert findings(path, run) == []
