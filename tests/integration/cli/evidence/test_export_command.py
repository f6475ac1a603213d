"""`elspeth export` writes evidence that can be verified without the database."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.export.jsonl import TABLES
from tests.integration.cli.evidence.conftest import KEY, Ask, Evidence
from tests.kit.processes.running import elspeth


@pytest.fixture
def exported(ask: Ask, pristine: Evidence, tmp_path: Path) -> Path:
    code, _ = ask("export", pristine.runs["batches"], "-o", tmp_path / "ev", "--database", pristine.database)
    assert code == 0
    return tmp_path / "ev"


def test_every_record_of_the_run_is_a_line(exported: Path, pristine: Evidence) -> None:
    run = pristine.runs["batches"]
    manifest = json.loads((exported / "manifest.json").read_text())
    with closing(sqlite3.connect(pristine.database)) as database:
        for table in TABLES:
            (count,) = database.execute(f"SELECT count(*) FROM {table} WHERE run_id = ?", (run,)).fetchone()
            lines = [json.loads(line) for line in (exported / f"{table}.jsonl").read_text().splitlines()]
            assert len(lines) == count == manifest["files"][table]["records"]
            assert all(line["run_id"] == run for line in lines)


def test_an_export_holds_without_the_database(ask: Ask, exported: Path) -> None:
    code, answer = ask("verify", exported)
    assert (code, answer["findings"]) == (0, [])


@pytest.mark.parametrize(
    ("name", "value", "code", "words"),
    [
        ("elspeth_export", 2, 13, "has form 2, this program knows forms up to 1"),
        ("layout", 99, 13, "has layout 99, this program knows layouts up to"),
        ("elspeth_export", "2", 1, "its form is not known here"),
        ("elspeth_export", None, 1, "its form is not known here"),
        ("layout", "2", 1, "its form is not known here"),
    ],
)
def test_a_manifest_of_another_form_is_left_to_whoever_wrote_it(
    name: str, value: object, code: int, words: str, exported: Path
) -> None:
    path = exported / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    done = elspeth("verify", f"{exported}/", cwd=exported.parent)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_a_folder_with_something_in_it_is_refused(ask: Ask, pristine: Evidence, tmp_path: Path) -> None:
    (tmp_path / "ev").mkdir()
    (tmp_path / "ev" / "mine").touch()
    code, _ = ask("export", "latest", "-o", tmp_path / "ev", "--database", pristine.database)
    assert code == 2
    assert [path.name for path in (tmp_path / "ev").iterdir()] == ["mine"]


@pytest.mark.parametrize("table", [*TABLES, "payloads"])
def test_a_file_that_is_gone_is_found(table: str, ask: Ask, exported: Path) -> None:
    (exported / f"{table}.jsonl").unlink()
    code, answer = ask("verify", exported)
    assert code == 1
    assert answer["findings"][0]["table"] == table


@pytest.mark.parametrize("table", TABLES)
def test_a_line_that_is_gone_is_found_even_if_the_manifest_was_made_to_fit(
    table: str, ask: Ask, exported: Path
) -> None:
    path = exported / f"{table}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if not lines:
        pytest.skip("the example has no such records")
    path.write_bytes(b"".join(lines[1:]))
    manifest = json.loads((exported / "manifest.json").read_text())
    manifest["files"][table] |= {
        "records": len(lines) - 1, "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }  # fmt: skip
    (exported / "manifest.json").write_text(json.dumps(manifest))
    code, answer = ask("verify", exported)
    assert code == 1
    assert answer["findings"]


def test_a_changed_value_is_named_by_record(ask: Ask, exported: Path, pristine: Evidence) -> None:
    path = exported / "rows.jsonl"
    path.write_text(path.read_text().replace('\\"amount\\":20', '\\"amount\\":21', 1))
    _, answer = ask("verify", exported)
    assert {finding["kind"] for finding in answer["findings"]} == {"export", "changed", "hash"}
    assert f"{pristine.runs['batches']}-000000001" in {finding["record"] for finding in answer["findings"]}


def test_a_signed_manifest_cannot_be_made_to_fit(pristine: Evidence, tmp_path: Path) -> None:
    key = {"ELSPETH_SIGNING_KEY": KEY}
    elspeth("export", "latest", "-o", tmp_path / "ev", "--database", pristine.database, cwd=tmp_path, **key)
    path = tmp_path / "ev" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["exported_at"] = "2020-01-01T00:00:00.000Z"
    path.write_text(json.dumps(manifest))
    done = elspeth("verify", tmp_path / "ev", cwd=tmp_path, **key)
    assert done.returncode == 1
    assert "manifest.json is not signed with this key, or was changed" in done.stdout
