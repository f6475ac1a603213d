"""A run that goes on under another Elspeth: refused where what decides is another, told where only a number is."""

from __future__ import annotations

import json
import platform
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.kit.fixtures.unpack import unpack
from tests.kit.processes.running import begin, elspeth, pausing, wait_until

ROOT = Path(__file__).parents[3]
RUN = ("run", "--settings", "pipeline.yaml", "--execute")


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, str]:
    """A run that was killed while it waited; the folder, and what must come out."""
    folder = tmp_path / "killed"
    folder.mkdir()
    expected = pausing(folder, 50)
    process = begin(*RUN, cwd=folder)
    wait_until(lambda: (folder / "reached").exists(), process)
    process.kill()
    process.communicate()
    (folder / "go").touch()
    return folder, expected


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A copy of Elspeth, to be changed; its folder is to be on the path."""
    folder = tmp_path / "other"
    for package in ("actors", "elspeth"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def change(module: Path, old: str, new: str) -> None:
    text = module.read_text()
    assert old in text
    module.write_text(text.replace(old, new, 1))


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "runs/audit.db")) as connection:
        yield connection


def drivers(folder: Path) -> dict[int, dict[str, object]]:
    with database(folder) as connection:
        found = connection.execute("SELECT attempt, detail FROM supervision_events WHERE event = 'driver'").fetchall()
    return {attempt: json.loads(detail) for attempt, detail in found}


def resume(folder: Path, other: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return elspeth("resume", "latest", *more, cwd=folder, PYTHONPATH=str(other))


def test_what_is_to_be_typed_next_keeps_what_was_typed(killed: tuple[Path, str], other: Path) -> None:
    folder, _ = killed
    change(other / "elspeth/execution/gate.py", '"""', '"""Another gate. ')
    refused = resume(folder, other, "--working-directory", str(folder), "--set", "concurrency.max_workers=1")
    assert refused.returncode == 6, refused.stderr
    words = f"--working-directory {folder} --set concurrency.max_workers=1 --accept-changed-code"
    assert words in refused.stderr


def test_code_that_decides_otherwise_is_refused_until_it_is_accepted_and_that_is_on_record(
    killed: tuple[Path, str], other: Path
) -> None:
    folder, expected = killed
    change(other / "elspeth/execution/gate.py", '"""', '"""Another gate. ')
    refused = resume(folder, other)
    assert refused.returncode == 6, refused.stderr
    assert "Elspeth's execution: code changed" in refused.stderr
    assert "--accept-changed-code" in refused.stderr
    doctor = elspeth("doctor", cwd=folder, PYTHONPATH=str(other))
    assert doctor.returncode == 1
    assert "Elspeth's execution: code changed" in doctor.stdout

    accepted = resume(folder, other, "--accept-changed-code")
    assert accepted.returncode == 0, accepted.stderr
    assert "accepted: Elspeth's execution: code changed" in accepted.stderr
    assert (folder / "output/out.csv").read_text() == expected
    found = drivers(folder)
    assert found[1]["accepted"] == []
    assert "Elspeth's execution" in str(found[2]["accepted"])
    assert found[1]["code_hash"] != found[2]["code_hash"]
    status = elspeth("status", "latest", cwd=folder).stdout
    assert str(found[1]["code_hash"])[:12] in status
    assert str(found[2]["code_hash"])[:12] in status
    assert "what decides was another, and accepted: Elspeth's execution" in status
    told = elspeth("explain", "--row", "40", cwd=folder).stdout
    assert f"Decided in attempt 2, by Elspeth 0.1.0 (code {str(found[2]['code_hash'])[:12]})" in told
    assert elspeth("verify", "latest", cwd=folder).returncode == 0


def test_another_number_alone_goes_on_and_is_told(killed: tuple[Path, str], other: Path) -> None:
    folder, expected = killed
    change(other / "elspeth/__init__.py", '"0.1.0"', '"0.1.1"')
    done = resume(folder, other)
    assert done.returncode == 0, done.stderr
    assert "Elspeth 0.1.0 then, 0.1.1 now; what decides in it is the same" in done.stderr
    assert (folder / "output/out.csv").read_text() == expected
    assert {number: found["elspeth"] for number, found in drivers(folder).items()} == {1: "0.1.0", 2: "0.1.1"}


@pytest.fixture
def other_default(other: Path) -> Path:
    """An Elspeth whose CSV sink ends its lines otherwise unless it is told."""
    sink = other / "elspeth/plugins/sinks/csv_sink.py"
    change(sink, 'Field("\\r\\n", description="What ends', 'Field("\\n", description="What ends')
    return other


def test_a_default_that_changed_reaches_new_runs_only(killed: tuple[Path, str], other_default: Path) -> None:
    folder, expected = killed
    assert resume(folder, other_default, "--accept-changed-code").returncode == 0
    assert (folder / "output/out.csv").read_bytes() == expected.replace("\n", "\r\n").encode()
    again = elspeth(*RUN, cwd=folder, PYTHONPATH=str(other_default))
    assert again.returncode == 0, again.stderr
    assert (folder / "output/out.csv").read_bytes() == expected.encode()


def test_a_run_that_stored_no_defaults_goes_on_with_those_of_its_version(tmp_path: Path, other_default: Path) -> None:
    whole, folder = (unpack(name, tmp_path / name) for name in ("completed", "interrupted"))
    done = resume(folder, other_default, "--accept-changed-code", "--working-directory", ".")
    assert done.returncode == 0, done.stderr
    for output in ("large.csv", "summed.json"):  # what a refused row carries with it is code, and was accepted
        assert (folder / "output" / output).read_bytes() == (whole / "output" / output).read_bytes()


def test_what_drove_a_run_cannot_be_altered_unseen(killed: tuple[Path, str], other: Path) -> None:
    folder, _ = killed
    assert elspeth("resume", "latest", cwd=folder).returncode == 0
    with database(folder) as connection, connection:
        connection.execute("UPDATE supervision_events SET detail = replace(detail, '0.1.0', '0.2.0')"
                           " WHERE event = 'driver'")  # fmt: skip
    found = elspeth("verify", "latest", cwd=folder)
    assert found.returncode == 1
    assert "supervision_events" in found.stdout + found.stderr


def test_a_run_from_before_it_was_recorded_goes_on_and_says_so(killed: tuple[Path, str]) -> None:
    folder, expected = killed
    with database(folder) as connection, connection:
        connection.execute("DELETE FROM supervision_events WHERE event = 'driver'")
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "was not recorded, so it cannot be told whether Elspeth changed" in done.stderr
    assert (folder / "output/out.csv").read_text() == expected


def test_doctor_status_and_explain_show_what_drove_each_attempt(killed: tuple[Path, str], other: Path) -> None:
    folder, expected = killed
    (folder / "go").unlink()
    (folder / "reached").unlink()
    change(other / "elspeth/__init__.py", '"0.1.0"', '"0.1.1"')
    change(other / "elspeth/execution/gate.py", '"""', '"""Another gate. ')
    words = ("resume", "latest", "--accept-changed-code")
    process = begin(*words, cwd=folder, PYTHONPATH=str(other))
    wait_until(lambda: (folder / "reached").exists(), process)
    process.kill()
    process.communicate()
    found = drivers(folder)
    codes = {attempt: str(facts["code_hash"]) for attempt, facts in found.items()}
    first, second = (
        f"Elspeth 0.1.{at} (code {codes[at + 1][:12]}), CPython {platform.python_version()}, " for at in (0, 1)
    )
    assert codes[1] != codes[2]

    doctor = elspeth("doctor", cwd=folder).stdout
    assert f"  driver    {first}" in doctor
    assert f"  driver    from attempt 2 on: {second}" in doctor
    (told,) = json.loads(elspeth("doctor", "--json", cwd=folder).stdout)["runs"]
    assert {int(attempt): facts["code_hash"] for attempt, facts in told["drivers"].items()} == codes
    (folder / "go").touch()
    assert elspeth(*words, cwd=folder).returncode == 0
    assert (folder / "output/out.csv").read_text() == expected
    status = elspeth("status", "latest", cwd=folder).stdout
    assert re.search(rf"driven by +{re.escape(first)}", status)
    assert re.search(rf"attempt 2 by +{re.escape(second)}", status)
    assert re.search(rf"attempt 3 by +{re.escape(first)}", status)
    told = json.loads(elspeth("status", "latest", "--json", cwd=folder).stdout)
    assert [facts["elspeth"] for facts in told["drivers"].values()] == ["0.1.0", "0.1.1", "0.1.0"]
    for facts in told["drivers"].values():
        assert {"python", "implementation", "platform", "packages", "code", "code_hash"} <= facts.keys()
    assert f"Decided in attempt 3, by {first}" in elspeth("explain", "--row", "40", cwd=folder).stdout
    (driver,) = json.loads(elspeth("explain", "--row", "40", "--json", cwd=folder).stdout)["driven_by"]
    assert (driver["attempt"], driver["code_hash"]) == (3, codes[1])


def test_an_attempt_of_which_it_is_not_on_record_is_said_to_be_one(killed: tuple[Path, str]) -> None:
    folder, _ = killed
    assert elspeth("resume", "latest", cwd=folder).returncode == 0
    with database(folder) as connection, connection:
        connection.execute("DELETE FROM supervision_events WHERE event = 'driver' AND attempt = 1")
    status = elspeth("status", "latest", cwd=folder).stdout
    assert re.search(r"driven by +what is not on record", status)
    assert re.search(r"attempt 2 by +Elspeth 0\.1\.0", status)


@pytest.mark.parametrize("detail", ["{}", "[]", "x", "", '{"elspeth": 1}', None])
def test_a_record_of_it_that_cannot_be_read_is_named_and_breaks_nothing(
    detail: str | None, killed: tuple[Path, str]
) -> None:
    folder, _ = killed
    with database(folder) as connection, connection:
        connection.execute("UPDATE supervision_events SET detail = ? WHERE event = 'driver'", (detail,))
    for words, code in ((("status", "latest"), 1), (("doctor",), 1), (("resume", "latest"), 1)):
        done = elspeth(*words, cwd=folder)
        printed = done.stdout + done.stderr
        assert done.returncode == code, (words, printed)
        assert "what drove attempt 1 of run" in printed
        assert "bug in Elspeth" not in printed
    assert elspeth("verify", "latest", cwd=folder).returncode == 1
    told = elspeth("explain", "--row", "0", cwd=folder)
    assert "bug in Elspeth" not in told.stderr
