"""A run on record, asked from Python: rows, outcomes, stories, frames and the report agree with what commands say."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pandas
import polars
import pytest

import elspeth
from elspeth import errors
from elspeth.audit.explain import listing
from elspeth.runs.views.report.page import MARK
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.running import elspeth as command


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> elspeth.RecordedRun:
    """A run with refused rows."""
    folder = lay_out(tmp_path_factory.mktemp("ways") / "run", DECIDING)
    assert command("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    return elspeth.open(folder / "runs" / "audit.db").run("latest")


def test_rows_are_those_of_the_input_in_order(recorded: elspeth.RecordedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 7)
    rows = list(recorded.rows())
    with (recorded.database.parents[1] / "input.csv").open(newline="") as file:
        ids = [line["id"] for line in csv.DictReader(file)]
    assert [row.index for row in rows] == list(range(len(ids)))
    assert [str(row.values["id"]) for row in rows if row.values and "id" in row.values] == ids
    assert {row.kept for row in rows} == {"inline"}
    assert all(row.sha256 and row.line for row in rows)


def test_outcomes_are_those_of_the_database(recorded: elspeth.RecordedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 7)
    found = list(recorded.outcomes())
    with closing(sqlite3.connect(recorded.database)) as connection:
        counted = dict(connection.execute("SELECT outcome, count(*) FROM token_outcomes WHERE is_terminal GROUP BY 1"))
    assert Counter(each.outcome for each in found) == counted == dict(recorded.counts().outcomes)
    assert all(each.error["reason"] for each in found if each.outcome == "quarantined")
    assert {each.sink for each in found} == {"low", "high", "refused"}


def test_a_story_is_what_explain_tells(recorded: elspeth.RecordedRun) -> None:
    said = command("explain", "--run", "latest", "--row", "3", "--json", cwd=recorded.database.parents[1])
    expected = json.loads(said.stdout)
    del expected["database"]
    assert json.loads(json.dumps(recorded.story(3))) == expected
    assert [story["row"] for story in recorded.stories([2, 3])] == [2, 3]
    assert len(list(recorded.stories())) == recorded.counts().rows


def test_reasons_and_runs(recorded: elspeth.RecordedRun) -> None:
    database = elspeth.open(recorded.database)
    assert [run.run_id for run in database] == [recorded.run_id]
    assert recorded.reasons(1)[0].count > 0
    assert recorded.run_id in repr(recorded)


def test_frames_of_rows_and_outcomes(recorded: elspeth.RecordedRun) -> None:
    count = recorded.counts().rows
    for rows, outcomes in (
        (recorded.to_pandas(), recorded.to_pandas("outcomes")),
        (recorded.to_polars("rows"), recorded.to_polars("outcomes")),
    ):
        assert len(rows) == count
        assert {"_row", "_source", "_line", "id", "amount", "note"} <= set(rows.columns)
        assert len(outcomes) == sum(recorded.counts().outcomes.values())
    assert isinstance(recorded.to_pandas(), pandas.DataFrame)
    assert isinstance(recorded.to_polars(), polars.DataFrame)
    frame = recorded.to_pandas("outcomes")
    assert frame[frame.outcome == "quarantined"].reason.notna().all()


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_without_the_package_it_is_named(
    recorded: elspeth.RecordedRun, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(errors.SettingsError, match=package):
        getattr(recorded, f"to_{package}")()


def test_the_report_and_its_form_for_notebooks(recorded: elspeth.RecordedRun) -> None:
    page = recorded.report()
    assert MARK in page
    shown = recorded._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts"')
    assert "<script" not in shown
    assert shown.count("<") == 2  # the element and its end: the page is an attribute
    assert recorded.run_id in page


def test_a_purged_run_says_that_its_data_is_gone(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    assert command("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    assert command("purge", "--run", "latest", cwd=folder).returncode == 0
    run = elspeth.open(folder / "runs" / "audit.db").run()
    assert {(row.values is None, row.kept) for row in run.rows()} == {(True, "no longer kept")}
    assert list(run.to_pandas().columns) == ["_row", "_source", "_line"]
    assert len(list(run.outcomes())) == sum(run.counts().outcomes.values())


def test_nobody_is_left_with_the_database_open(recorded: elspeth.RecordedRun) -> None:
    iterator = recorded.rows()
    next(iterator)
    held = [link for link in Path("/proc/self/fd").iterdir() if str(recorded.database) in _target(link)]
    assert held == []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
