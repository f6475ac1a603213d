"""The checker approves a good run, and reports every kind of damage done to one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit import oracle
from tests.kit.oracle.canonical import sha256
from tests.kit.oracle.checker import CannotRecompute, check
from tests.kit.oracle.fixture import HIGH, INPUT, LOW, REFUSED, RUN, Fixture

ROW = f"{RUN}-000000001"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Fixture]:
    fixture = Fixture(tmp_path)
    yield fixture
    fixture.db.close()


def violations(run: Fixture, *, finished: bool = True, recompute: bool = True) -> list[str]:
    return check(run.settings, run.database, RUN, working_directory=run.folder, finished=finished, recompute=recompute)


def test_a_good_run_has_no_violations(run: Fixture) -> None:
    assert violations(run) == []


def test_an_unknown_run_is_reported(run: Fixture) -> None:
    found = check(run.settings, run.database, "other", working_directory=run.folder, recompute=False)
    assert found[0] == "runs: there is no run other"


# Statements that damage the records, and the words that the report must contain.
RECORDS = {
    "status": ("UPDATE runs SET status = 'running'", "status is running"),
    "completed_at": ("UPDATE runs SET completed_at = NULL", "completed_at is empty"),
    "a row lost": (f"DELETE FROM rows WHERE row_id = '{ROW}'", "row_index 2 stands where 1 is due"),
    "a row renumbered": (f"UPDATE rows SET row_index = 9 WHERE row_id = '{ROW}'", "row_index 9"),
    "a row of another source": ("UPDATE rows SET source_node_id = 'low'", "is said to come from low"),
    "row data edited": (
        f"UPDATE rows SET source_data = replace(source_data, '2000', '2001') WHERE row_id = '{ROW}'",
        "does not have its hash",
    ),
    "row hash edited": (f"UPDATE rows SET source_data_hash = 'x' WHERE row_id = '{ROW}'", "another hash than the row"),
    "row line edited": (f"UPDATE rows SET line = 77 WHERE row_id = '{ROW}'", "line 77, not 3"),
    "a token lost": (f"DELETE FROM tokens WHERE token_id = '{ROW}'", "has no token of its own"),
    "an outcome lost": (f"DELETE FROM token_outcomes WHERE token_id = '{ROW}'", "has 0 terminal outcomes"),
    "an outcome twice": (
        f"INSERT INTO token_outcomes SELECT * FROM token_outcomes WHERE token_id = '{ROW}'",
        "has 2 terminal outcomes",
    ),
    "an outcome left open": (
        f"UPDATE token_outcomes SET outcome = 'buffered', is_terminal = 0 WHERE token_id = '{ROW}'",
        "still buffered",
    ),
    "an outcome not terminal": (
        f"UPDATE token_outcomes SET is_terminal = 0 WHERE token_id = '{ROW}'",
        "with is_terminal 0",
    ),
    "an unknown outcome": (f"UPDATE token_outcomes SET outcome = 'lost' WHERE token_id = '{ROW}'", "is no outcome"),
    "another outcome": (
        f"UPDATE token_outcomes SET outcome = 'completed' WHERE token_id = '{ROW}'",
        "is completed at high row 1, not routed at high row 1",
    ),
    "another sink": (
        f"UPDATE token_outcomes SET sink_name = 'low' WHERE token_id = '{ROW}'",
        "is routed at low row 1, not routed at high row 1",
    ),
    "another sink row": (f"UPDATE token_outcomes SET sink_row = 7 WHERE token_id = '{ROW}'", "at high row 7"),
    "no sink row": (f"UPDATE token_outcomes SET sink_row = NULL WHERE token_id = '{ROW}'", "without saying"),
    "two rows swapped": (
        "UPDATE token_outcomes SET sink_row = 3 - sink_row WHERE sink_name = 'low'",
        "stands after",
    ),
    "a state lost": (f"DELETE FROM node_states WHERE state_id = '{ROW}:1'", "went through"),
    "a state of another node": (
        f"UPDATE node_states SET node_id = 'threshold' WHERE state_id = '{ROW}:0'",
        "went through",
    ),
    "a state that failed": (f"UPDATE node_states SET status = 'failed' WHERE state_id = '{ROW}:0'", "is failed"),
    "input hash": (f"UPDATE node_states SET input_hash = 'x' WHERE state_id = '{ROW}:0'", "was given something else"),
    "output hash": (f"UPDATE node_states SET output_hash = 'x' WHERE state_id = '{ROW}:0'", "returned something else"),
    "output data": (f"UPDATE node_states SET output_data = '{{}}' WHERE state_id = '{ROW}:0'", "other output data"),
    "another route": (
        f"UPDATE routing_events SET edge_id = 'threshold:false' WHERE state_id = '{ROW}:2'",
        "left threshold by ['false'], not true",
    ),
    "a route lost": (f"DELETE FROM routing_events WHERE state_id = '{ROW}:2'", "left threshold by []"),
    "a validation error lost": ("DELETE FROM validation_errors", "validation_errors: 0 records about"),
    "a transform error lost": ("DELETE FROM transform_errors", "transform_errors: 0 records about"),
    "an artifact's size": ("UPDATE artifacts SET size_bytes = 1 WHERE kind = 'input'", "1 on record"),
    "an artifact's hash": ("UPDATE artifacts SET content_hash = 'x'", "artifacts: low.csv does not have"),
    "an artifact's file": ("UPDATE artifacts SET path = 'nowhere.csv'", "nowhere.csv is missing"),
    "checkpoint order": (
        "UPDATE checkpoints SET sequence_number = 9 WHERE sequence_number = 1",
        "sequence number 2 follows 9",
    ),
    "no checkpoint": ("DELETE FROM checkpoints", "checkpoints: there is none"),
    "a checkpoint ahead of its rows": (
        f"UPDATE checkpoints SET row_id = '{RUN}-000000005' WHERE sequence_number = 1",
        "stands at mf3k2a9x-000000005, its commit at mf3k2a9x-000000002",
    ),
    "a checkpoint ahead of its outcomes": (
        """UPDATE checkpoints SET message = replace(message, '"rows": 1', '"rows": 2') WHERE sequence_number = 1""",
        "stands at row 2 while 1 outcomes are committed",
    ),
    "a commit lost": ("DELETE FROM commits WHERE commit_no = 1", "2 follows 0"),
    "a commit's digest": ("UPDATE commits SET digest = 'x' WHERE commit_no = 1", "does not continue the digest of 1"),
    "a commit's count": ("UPDATE commits SET record_count = 1 WHERE commit_no = 1", "counts 1 records"),
    "a commit's time": (
        "UPDATE commits SET committed_at = 'x' WHERE commit_no = 1",
        "the digest of 1 is not that of its header",
    ),
    "a record's time": (f"UPDATE rows SET created_at = 'x' WHERE row_id = '{ROW}'", "rows does not hold what commit 1"),
    "a set-aside text": (
        "UPDATE validation_errors SET raw_data = 'x'",
        "validation_errors does not hold what commit 1",
    ),
    "a table's digest lost": (
        "DELETE FROM commit_tables WHERE table_name = 'rows' AND commit_no = 1",
        "rows holds records of commit 1, which wrote none",
    ),
    "a commit of a later attempt": ("UPDATE commits SET attempt = 2 WHERE commit_no = 1", "is of attempt 2"),
    "a record of no commit": (f"UPDATE tokens SET commit_no = 9 WHERE token_id = '{ROW}'", "commit 9, which does not"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_damaged_records_are_reported(run: Fixture, name: str) -> None:
    statement, words = RECORDS[name]
    assert run.db.execute(statement).rowcount
    found = violations(run)
    assert any(words in violation for violation in found), found


ORPHANS = {
    "tokens.row_id": "UPDATE tokens SET row_id = 'x'",
    "token_parents.token_id": "INSERT INTO token_parents VALUES ('mf3k2a9x', 1, 'x', 'x', 0)",
    "node_states.token_id": "UPDATE node_states SET token_id = 'x'",
    "node_states.node_id": "UPDATE node_states SET node_id = 'x'",
    "routing_events.state_id": "UPDATE routing_events SET state_id = 'x'",
    "routing_events.edge_id": "UPDATE routing_events SET edge_id = 'x'",
    "token_outcomes.token_id": "UPDATE token_outcomes SET token_id = 'x'",
    "token_outcomes.sink_name": "UPDATE token_outcomes SET sink_name = 'x'",
    "token_outcomes.batch_id": "UPDATE token_outcomes SET batch_id = 'x'",
    "rows.source_node_id": "UPDATE rows SET source_node_id = 'x'",
    "edges.from_node_id": "UPDATE edges SET from_node_id = 'x'",
    "edges.to_node_id": "UPDATE edges SET to_node_id = 'x'",
    "validation_errors.row_id": "UPDATE validation_errors SET row_id = 'x'",
    "transform_errors.token_id": "UPDATE transform_errors SET token_id = 'x'",
    "batches.node_id": "INSERT INTO batches VALUES ('mf3k2a9x', 1, 'b', 'x', 'count', 'completed')",
    "batch_members.batch_id": "INSERT INTO batch_members VALUES ('mf3k2a9x', 1, 'x', 'mf3k2a9x-000000001', 0, NULL)",
    "calls.state_id": "INSERT INTO calls VALUES ('mf3k2a9x', 1, 'c', 'x', NULL, NULL)",
    "artifacts.node_id": "UPDATE artifacts SET node_id = 'x'",
    "checkpoints.row_id": "UPDATE checkpoints SET row_id = 'x'",
}


@pytest.mark.parametrize("reference", ORPHANS)
def test_a_reference_to_nothing_is_reported(run: Fixture, reference: str) -> None:
    assert run.db.execute(ORPHANS[reference]).rowcount
    table, column = reference.split(".")
    found = violations(run, recompute=False)
    assert any(violation.startswith(f"{table}: {column} x is not in") for violation in found), found


FILES: dict[str, tuple[str, Callable[[str], str], str]] = {
    "a value edited": ("low.csv", lambda text: text.replace("10,a", "11,a"), "output low: line 2"),
    "a row lost": ("low.csv", lambda text: text.replace("1,10,a,20\r\n", ""), "output low: line 2"),
    "a row twice": ("low.csv", lambda text: text + "5,50,e,100\r\n", "bytes too many"),
    "the end cut": ("low.csv", lambda text: text[:-3], "output low: line 3"),
    "the end cut at a line": ("low.csv", lambda text: text[: text.index("5,")], "output low: line 3"),
    "line ends": ("low.csv", lambda text: text.replace("\r\n", "\n"), "output low: line 1"),
    "the header lost": ("low.csv", lambda text: text.partition("\n")[2], "output low: line 1"),
    "emptied": ("low.csv", lambda text: "", "checkpoints: low stands at byte"),
    "two JSON rows swapped": (
        "high.json",
        lambda text: "[\n" + ",\n".join(reversed(text[2:-3].split(",\n"))) + "\n]\n",
        "output high: row 1",
    ),
    "the bracket lost": ("high.json", lambda text: text[:-2], "output high: cannot be read back"),
    "the bracket twice": ("high.json", lambda text: text + "]\n", "output high: cannot be read back"),
    "a JSON field added": ("high.json", lambda text: text.replace('"id":6', '"_x":1,"id":6'), "fields of its own"),
    "JSON keys reordered": (
        "high.json",
        lambda text: text.replace('"id":6,"amount":6000', '"amount":6000,"id":6'),
        "output high: row 2",
    ),
    "set-aside data edited": ("refused.jsonl", lambda text: text.replace("many", "more"), "output refused: row 1"),
    "a set-aside row lost": ("refused.jsonl", lambda text: text.partition("\n")[2], "output refused: 1 rows, not 2"),
    "the source edited": ("input.csv", lambda text: text.replace("5,50", "5,55"), "another hash than the row"),
    "the source shortened": ("input.csv", lambda text: text.replace("6,6000,f\n", ""), "more on record"),
    "the source grown": ("input.csv", lambda text: text + "7,70,g\n", "the sources have more than the 6 rows"),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_reported(run: Fixture, name: str) -> None:
    file, damage, words = FILES[name]
    path = run.folder / file
    before = path.read_bytes().decode()
    path.write_text(damage(before), encoding="utf-8", newline="")
    assert path.read_bytes().decode() != before
    found = violations(run)
    assert any(words in violation for violation in found), found


@pytest.mark.parametrize("name", ["low.csv", "high.json", "refused.jsonl"])
def test_a_missing_output_is_reported(run: Fixture, name: str) -> None:
    (run.folder / name).unlink()
    assert any(f"{name} is missing" in violation for violation in violations(run))


def test_a_run_that_was_killed_may_have_written_more_than_it_committed(run: Fixture) -> None:
    kill_after_commit_1(run)
    assert violations(run, finished=False) == []


def test_a_run_that_was_killed_may_not_have_committed_more_than_it_wrote(run: Fixture) -> None:
    kill_after_commit_1(run)
    (run.folder / "low.csv").write_text(LOW[:10], encoding="utf-8")
    found = violations(run, finished=False)
    assert any(violation.startswith("output low") for violation in found), found
    assert any(violation.startswith("checkpoints: low stands at byte") for violation in found), found


def kill_after_commit_1(run: Fixture) -> None:
    run.db.execute("UPDATE runs SET status = 'running', completed_at = NULL")
    for table in ("rows", "tokens", "token_outcomes", "node_states", "routing_events", "transform_errors", "artifacts",
                  "checkpoints", "commits", "commit_tables"):  # fmt: skip
        run.db.execute(f"DELETE FROM {table} WHERE commit_no = 2")
    (run.folder / "high.json").write_text(HIGH[: HIGH.index("6000")], encoding="utf-8")
    (run.folder / "refused.jsonl").write_text(REFUSED[:-5], encoding="utf-8")


def test_what_it_cannot_recompute_is_said_not_skipped(run: Fixture) -> None:
    run.settings.write_text(run.settings.read_text() + "coalesce: [{name: m}]\n")
    with pytest.raises(CannotRecompute, match="coalesce"):
        violations(run)


def test_a_poison_row_is_due_where_errors_go(run: Fixture) -> None:
    """Row 3 is set aside as it was read, because it killed its process in the filter: no step before has a record."""
    row = {"id": 4, "amount": 40, "note": "a secret"}
    run.settings.write_text(run.settings.read_text().replace("[secret]", "[nothing]"))
    (run.folder / "refused.jsonl").write_text(REFUSED.replace(',"twice":80', ""))
    run.db.execute(f"DELETE FROM node_states WHERE state_id = '{RUN}-000000003:0'")
    run.db.execute(
        f"UPDATE node_states SET step_index = 0, input_hash = ? WHERE state_id = '{RUN}-000000003:1'", (sha256(row),)
    )

    def about_the_row(found: list[str]) -> list[str]:
        return [text for text in found if not text.startswith(("commit", "checkpoints: refused"))]

    assert about_the_row(violations(run)) != []
    found = check(run.settings, run.database, RUN, working_directory=run.folder, poisoned={3})
    assert about_the_row(found) == []


def test_the_checker_imports_nothing_of_the_product() -> None:
    for file in Path(oracle.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"elspeth", "actors"}, file


def test_the_input_of_the_fixture_has_a_row_of_every_kind() -> None:
    assert INPUT.count("\n") == LOW.count("\n") + HIGH.count('"id"') + REFUSED.count("\n")
