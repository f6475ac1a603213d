"""`landscape.mode` says who may read the audit database and its side files, and nothing else is opened wider by it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from elspeth.settings import effective
from tests.kit.processes.running import begin, elspeth, pausing, wait_until

RUN = ("run", "--settings", "pipeline.yaml", "--execute")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def lay(folder: Path, landscape: str) -> None:
    pausing(folder, 9)
    with (folder / "pipeline.yaml").open("a") as file:
        file.write(f"landscape: {{dump_to_jsonl: true, {landscape}}}\npayload_store: {{inline_limit_bytes: 0}}\n")


def while_it_runs(folder: Path) -> dict[str, int]:
    """The modes of the files beside the database while the run is alive."""
    process = begin(*RUN, cwd=folder)
    wait_until((folder / "reached").exists, process)
    wait_until(lambda: (folder / "runs" / "audit.db-wal").exists(), process)
    found = {path.name: mode(path) for path in (folder / "runs").iterdir() if path.is_file()}
    found["payload"] = max(mode(path) for path in (folder / "state" / "payloads").rglob("*") if path.is_file())
    (folder / "go").touch()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return found


@pytest.mark.parametrize("wanted", ["0640", "664", "0600"])
def test_database_and_side_files_have_it_whatever_the_umask_and_nothing_private_is_widened(
    tmp_path: Path, wanted: str
) -> None:
    lay(tmp_path, f'mode: "{wanted}"')
    found = while_it_runs(tmp_path)
    expected = int(wanted, 8)
    for name in ("audit.db", "audit.db-wal", "audit.db-shm"):
        assert found[name] == expected, name
    (journal,) = (name for name in found if name.endswith(".jsonl"))
    assert found[journal] == 0o600
    assert found["payload"] == 0o600
    assert mode(tmp_path / "runs" / "audit.db") == expected
    assert {mode(path) for path in (tmp_path / "runs" / "locks").glob("*")} <= {0o600, 0o644}


def test_a_database_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    lay(tmp_path, 'mode: "0640"')
    (tmp_path / "go").touch()
    assert elspeth(*RUN, cwd=tmp_path).returncode == 0
    (tmp_path / "runs" / "audit.db").chmod(0o604)
    assert elspeth(*RUN, "--force-new", cwd=tmp_path).returncode == 0
    assert mode(tmp_path / "runs" / "audit.db") == 0o604


def test_one_that_was_created_and_no_more_when_its_process_died_is_taken(tmp_path: Path) -> None:
    lay(tmp_path, 'mode: "0640"')
    (tmp_path / "go").touch()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "audit.db").touch(mode=0o640)
    (tmp_path / "runs" / "audit.db").chmod(0o640)
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert mode(tmp_path / "runs" / "audit.db") == 0o640


@pytest.mark.parametrize("wanted", ["0999", "rw-r-----", "07777"])
def test_a_mode_that_is_none_is_found_before_anything_is_made(tmp_path: Path, wanted: str) -> None:
    lay(tmp_path, f'mode: "{wanted}"')
    done = elspeth("validate", "--settings", "pipeline.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "landscape.mode" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_it_is_no_difference_for_a_run_that_began_before_there_was_one() -> None:
    assert effective.as_stored({"landscape": {}})["landscape"]["mode"] is None
