"""What is worked out of an audit database on a server without asking it anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.audit.store.place import PostgresPlace
from elspeth.audit.store.postgres.lock_sessions import Facts
from elspeth.runs.lifecycle.file_roles import own_files, own_folders
from elspeth.runs.lifecycle.later_files import default_journal, problems
from elspeth.runs.liveness.evidence import gather
from elspeth.runs.liveness.identity import command_line, current
from elspeth.runs.liveness.session_lock import SessionLockName
from elspeth.settings import Positions, Settings

URL = "postgresql://app@nowhere.invalid/audit"


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate(
        {
            "source": {"plugin": "csv", "options": {"path": "in.csv"}},
            "sinks": {"out": {"plugin": "csv", "options": {"path": "out.csv"}}},
            "default_sink": "out",
            "landscape": {"url": URL, "dump_to_jsonl": True},
        }
    )


def test_what_lies_beside_a_file_lies_in_the_state_folder(settings: Settings) -> None:
    assert own_folders(settings)["the folder of locks"] == Path("state/locks")
    assert [role.what for role in own_files(settings, ())] == ["the file of variables"]
    assert problems(settings, {}, Positions("pipeline.yaml")) == []
    assert default_journal(PostgresPlace(URL), Path("state"), "mf3k2a9x") == Path("state/audit.mf3k2a9x.jsonl")
    assert default_journal(Path("runs/mine.db"), Path("state"), "mf3k2a9x") == Path("runs/mine.mf3k2a9x.jsonl")


def test_a_state_folder_that_leaves_no_room_is_found_before_a_run(settings: Settings) -> None:
    long = settings.model_copy(
        update={"payload_store": settings.payload_store.model_copy(update={"base_path": "x" * 300})}
    )
    assert [str(problem.key) for problem in problems(long, {}, Positions("pipeline.yaml"))] == [
        "payload_store.base_path"
    ]


def test_the_name_of_a_session_lock_says_which_it_is() -> None:
    facts = Facts("7712680054967082908", "audit", "public")
    names = {
        SessionLockName.of(facts, "mf3k2a9x", 1),
        SessionLockName.of(facts, "mf3k2a9x", 2),
        SessionLockName.of(facts, "mf3k2a9y", 1),
        SessionLockName.of(Facts(facts.cluster, "audit", "other"), "mf3k2a9x", 1),
    }
    assert len({name.key for name in names}) == 4
    assert all(-(2**63) <= name.key < 2**63 for name in names)
    assert {SessionLockName.read(str(name)) for name in names} == names
    assert SessionLockName.read("/app/state/locks/mf3k2a9x.1.lock") is None


def test_a_copy_in_a_file_cannot_tell_of_a_session() -> None:
    name = str(SessionLockName(1, "audit", "2"))
    found = gather(current(name), database=Path("runs/audit.db"))
    assert (found.lock, found.lock_detail) == ("unreachable", f"it is {name}")


def test_a_command_is_recorded_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["elspeth", "resume", "latest", "--database", "postgresql://app:pass@db/audit"])
    assert command_line() == "elspeth resume latest --database postgresql://app@db/audit"
