"""The metadata for Datasette names tables that there are, and its questions have the answers that commands give."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.audit.store import models
from tests.docs.repository import ROOT, text_of
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.held import elspeth

METADATA = yaml.safe_load(text_of(ROOT / "ops" / "datasette" / "metadata.yaml"))
AUDIT = METADATA["databases"]["audit"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run."""
    found = lay_out(tmp_path_factory.mktemp("datasette") / "run", DECIDING)
    assert elspeth(found, "run", "--settings", "pipeline.yaml", "--execute").returncode == 0
    return found


def asked(folder: Path, name: str, **values: str) -> list[dict[str, Any]]:
    query = AUDIT["queries"][name]
    assert query.get("params", []) == list(values)
    with closing(sqlite3.connect(f"file:{folder / 'runs' / 'audit.db'}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query["sql"], values)]


def test_every_table_that_is_described_is_there(folder: Path) -> None:
    with closing(sqlite3.connect(f"file:{folder / 'runs' / 'audit.db'}?mode=ro", uri=True)) as connection:
        for name, about in AUDIT["tables"].items():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            assert columns, name
            assert {about[key] for key in ("sort", "sort_desc", "label_column") if key in about} <= columns
    assert set(AUDIT["tables"]) <= {table._meta.table_name for table in models.TABLES}


def test_the_summary_counts_what_status_counts(folder: Path) -> None:
    status = json.loads(elspeth(folder, "status", "latest", "--json").stdout)
    (line,) = asked(folder, "run_summary")
    outcomes = status["balance"]["outcomes"]
    assert (line["run_id"], line["status"], line["rows"]) == (status["run_id"], "completed", status["rows"])
    assert line["ended"] == sum(outcomes.values())
    assert line["written"] == outcomes["completed"] + outcomes["routed"]
    assert line["set_aside"] == outcomes["quarantined"]


def test_the_reasons_are_all_there_with_a_row_each(folder: Path) -> None:
    status = json.loads(elspeth(folder, "status", "latest", "--json").stdout)
    found = asked(folder, "failures_by_reason", run_id=status["run_id"])
    assert sum(line["tokens"] for line in found) == status["balance"]["outcomes"]["quarantined"]
    for line in found[:3]:
        story = asked(folder, "row_story", row_id=line["example"])
        assert story[0]["what"] == "read"
        assert (story[-1]["what"], story[-1]["status"]) == ("end", "quarantined")


def test_a_story_goes_the_way_that_explain_tells(folder: Path) -> None:
    told = json.loads(elspeth(folder, "explain", "--row", "3", "--json").stdout)
    story = asked(folder, "row_story", row_id=told["row_id"])
    assert [line["node"] for line in story if line["what"] == "visit"] == [
        step["node"] for step in told["tokens"]["passages"]
    ]
    assert story[-1]["node"] == told["tokens"]["end"]["sink"]
    assert json.loads(story[0]["detail"]) == told["read"]["values"]
