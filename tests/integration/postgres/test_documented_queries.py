"""What people ask in SQL has the same answer in both databases, found by keys among the records of fifty runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import place_of
from elspeth.audit.writer import AuditWriter
from tests.docs import scenes
from tests.docs.command import run
from tests.docs.console import SHELL
from tests.docs.queries import documented, pairs, typed
from tests.docs.test_runbooks import CONTRACT
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN_COLUMNS, beginning, rows
from tests.kit.postgres.databases import Database, fresh_database
from tests.kit.postgres.server import Server, binaries, missing

if missing():
    pytest.skip(str(missing()), allow_module_level=True)

WHO: dict[str, Any] = {"user": "ada", "uid": 1000, "command_line": "elspeth copy"}
OTHERS = 49
LARGE = {"token_records", "state_records", "outcome_records"}

QUERIES = documented() | {
    f"operators:{number}": sql for number, (text, _) in enumerate(CONTRACT) for sql in typed(text) if "SELECT" in sql
}
OF_ALL_RUNS = {name for name, sql in QUERIES.items() if "<R" not in sql}
"""Those that ask about all runs, and so of all records."""


@dataclass(frozen=True)
class Both:
    """The same runs in a file and on a server."""

    folder: Path
    postgres: Database
    run_id: str

    def filled(self, sql: str) -> str:
        return sql.replace("<RUN_ID>", self.run_id).replace("<ROW_ID>", f"{self.run_id}-000000003")

    def in_file(self, sql: str) -> list[str]:
        done = run(f"{SHELL}\nsqlite3 runs/audit.db \"$(cat <<'END'\n{self.filled(sql)}\nEND\n)\"", self.folder)
        assert done.returncode == 0, done.stdout
        return _comparable(done.stdout, sql)

    def on_server(self, sql: str) -> list[str]:
        words = [f"{binaries()}/psql", self.postgres.plain_url(self.postgres.reader), "-At", "-c", self.filled(sql)]
        options = {"PGOPTIONS": f"-c search_path={self.postgres.schema}"}
        done = subprocess.run(words, env=options, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return _comparable(done.stdout, sql)


def _comparable(answer: str, sql: str) -> list[str]:
    """Lines of an answer, in an order if it asks for one; without the copy that only the second database knows of."""
    lines = [line for line in answer.splitlines() if "|copy|" not in line]
    return lines if "ORDER BY" in sql else sorted(lines)


@pytest.fixture(scope="module")
def both(_shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("both")
    path = folder / "runs" / "audit.db"
    with fresh_database(_shared_server) as database:
        scenes.threshold(folder)
        with (folder / "input.csv").open("a") as file:
            file.write("".join(f"{100_000 + number},Dee,none\n" for number in range(30)))
        assert run(scenes.DEAD, folder).returncode in (137, -9)
        resumed = run("elspeth resume latest --accept-changed-code", folder)
        assert resumed.returncode == 0, resumed.stdout
        run_id = scenes.Scene(folder).asked("SELECT run_id FROM runs")
        with closing(AuditWriter(path)) as writer:
            writer.operator_action(run_id=run_id, action="note", user="ada", uid=7, command_line="x", reason="seen")
            for number in range(OTHERS):
                other = f"mf3k{number:04d}"
                writer.create_run({**RUN_COLUMNS, "run_id": other}, ATTEMPT, {**beginning(), "checkpoints": []})
                writer.commit(other, 1, rows(0, 100, run=other), {"status": "completed", "completed_at": NOW})
        copied = run(f"elspeth copy {run_id} --to '{database.url}'", folder)
        assert copied.returncode == 0, copied.stdout
        with closing(AuditWriter(place_of(database.url), signing_key=KEY)) as writer, AuditReader(path) as reader:
            for number in range(OTHERS):
                writer.take_in(reader, run_id=f"mf3k{number:04d}", **WHO, reason=None)
        database.ask("ANALYZE")
        yield Both(folder, database, run_id)


def test_the_questions_are_found() -> None:
    assert len(QUERIES) > 20
    assert len(OF_ALL_RUNS) < len(QUERIES) / 2


@pytest.mark.parametrize("name", QUERIES)
def test_the_answers_are_the_same(name: str, both: Both) -> None:
    found = both.in_file(QUERIES[name])
    assert both.on_server(QUERIES[name]) == found
    assert found or "transform_errors" in QUERIES[name]


@pytest.mark.parametrize("name", sorted(QUERIES.keys() - OF_ALL_RUNS))
def test_keys_lead_to_the_records_of_a_run(name: str, both: Both) -> None:
    sql = both.filled(QUERIES[name])
    plan = both.in_file(f"EXPLAIN QUERY PLAN {sql}")
    assert [line for line in plan if re.search(r"\bSCAN [ksoq]\b", line)] == []
    (((found,),),) = (both.postgres.ask(f"EXPLAIN (FORMAT JSON) {sql}"),)
    nodes = list(_nodes(found[0]["Plan"] if not isinstance(found, str) else json.loads(found)[0]["Plan"]))
    scans = [node for node in nodes if node.get("Relation Name") in LARGE]
    assert [node for node in scans if "Index Cond" not in node and node["Node Type"] != "Bitmap Heap Scan"] == []


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.mark.parametrize(
    ("place", "asked", "there"), [*pairs()], ids=lambda value: value if isinstance(value, str) else ""
)
def test_in_runbooks_psql_stands_beside_the_shell_of_sqlite(place: str, asked: list[str], there: list[str]) -> None:
    assert there == asked
