"""What cannot be resumed is refused with words and an exit code, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.pipelines.crash_pipelines import DECIDING, ROWS, lay_out, write_input
from tests.kit.processes.held import elspeth, held_run, make
from tests.kit.processes.program import Program, Programs
from tests.kit.processes.recorded_run import outputs, query, run_id, snapshot

RUN = ("run", "--settings", "pipeline.yaml", "--execute")


def killed(programs: Programs, folder: Path, settings: str = DECIDING) -> Path:
    """A run that died when some of it was committed; answers its folder."""
    lay_out(folder, settings)
    environment = {"CRASH_POINT": f"audit.before_durable:4:{folder}.mark", "CRASH_GROUP": "1"}
    programs.start(folder, *RUN, **environment).ends_with(-9)
    return folder


def completed(programs: Programs, folder: Path) -> Path:
    """A run that is complete; answers its folder."""
    lay_out(folder, DECIDING)
    programs.call(folder, *RUN)
    return folder


def refused(programs: Programs, folder: Path, *words: str, code: int) -> Program:
    """Call the command and assert its exit code, and that it changed no file."""
    before = snapshot(folder)
    called = programs.call(folder, *words, code=code)
    assert snapshot(folder) == before
    return called


def database(folder: Path) -> Path:
    return folder / "runs/audit.db"


def test_an_unknown_run_is_not_found_and_the_known_ones_are_named(tmp_path: Path, programs: Programs) -> None:
    folder = killed(programs, tmp_path / "run")
    said = refused(programs, folder, "resume", "zzzzzzzz", code=4).said
    assert "Run not found" in said
    assert run_id(database(folder)) in said


def test_a_run_without_checkpoints_cannot_be_resumed(tmp_path: Path, programs: Programs) -> None:
    settings = DECIDING.replace("checkpoint: {", "checkpoint: {enabled: false, ")
    folder = killed(programs, tmp_path / "run", settings)
    said = refused(programs, folder, "resume", run_id(database(folder)), code=5).said
    assert "No checkpoint available" in said
    assert "elspeth run --settings" in said
    assert "--force-new" in said
    programs.call(folder, *RUN, "--force-new")


def test_a_run_that_somebody_drives_is_left_alone(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run):
        second = elspeth(tmp_path, "resume", run)
        assert second.returncode == 3, second.stderr
        assert "Run already in progress" in second.stderr
        ((pid, host, since),) = query(database(tmp_path), "SELECT pid, host, started_at FROM run_attempts")
        assert pid == process.pid
        for fact in (str(pid), host, since):
            assert fact in second.stderr
        (tmp_path / "go").touch()
        assert process.wait() == 0
    assert query(database(tmp_path), "SELECT count(*) FROM run_attempts") == [(1,)]
    assert query(database(tmp_path), "SELECT count(*) FROM operator_actions") == [(0,)]
    assert (tmp_path / "output" / "out.csv").read_text() == (tmp_path / "data" / "input.csv").read_text()


def violations(folder: Path) -> list[str]:
    transforms = {"delay": lambda options, row: row}
    return check(
        folder / "pipeline.yaml", database(folder), run_id(database(folder)), working_directory=folder,
        transforms=transforms,
    )  # fmt: skip


def test_a_completed_run_is_said_to_be_complete(tmp_path: Path, programs: Programs) -> None:
    folder = completed(programs, tmp_path / "run")
    said = refused(programs, folder, "resume", run_id(database(folder)), code=0).said
    assert "completed" in said


def test_settings_that_differ_are_named(tmp_path: Path, programs: Programs) -> None:
    folder = killed(programs, tmp_path / "run")
    settings = DECIDING.replace("> 1000", "> 1500").replace("[secret]", "[secret, other]")
    (folder / "other.yaml").write_text(settings, encoding="utf-8")
    said = refused(programs, folder, "resume", run_id(database(folder)), "--settings", "other.yaml", code=6).said
    assert "Configuration mismatch" in said
    assert "gates" in said
    assert "condition" in said
    assert "blocked_patterns" in said


def edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"plain", b"PLAIN", 1))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def replaced(path: Path) -> None:
    path.unlink()
    path.write_text("id,amount,note\n" + "1,1,other\n" * ROWS, encoding="utf-8")


def deleted(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [edited, cut, replaced])
def test_a_source_that_changed_is_refused(damage: Callable[[Path], None], tmp_path: Path, programs: Programs) -> None:
    folder = killed(programs, tmp_path / "run")
    before = (folder / "input.csv").read_bytes()
    damage(folder / "input.csv")
    said = refused(programs, folder, "resume", run_id(database(folder)), code=7).said
    assert "input.csv" in said
    assert any(words in said for words in ("Duplicate row_id", "changed", "shorter"))
    (folder / "input.csv").write_bytes(before)
    programs.call(folder, "resume", run_id(database(folder)))
    assert violations(folder) == []


def test_rows_that_were_appended_are_processed_and_the_summary_says_so(tmp_path: Path, programs: Programs) -> None:
    folder = killed(programs, tmp_path / "run")
    write_input(folder / "longer.csv", ROWS + 50)
    longer = (folder / "longer.csv").read_bytes()
    assert longer.startswith((folder / "input.csv").read_bytes())
    (folder / "input.csv").write_bytes(longer)
    said = programs.call(folder, "resume", run_id(database(folder))).said
    assert "appended" in said or "grew" in said or "grown" in said
    assert query(database(folder), "SELECT count(*) FROM rows") == [(ROWS + 50,)]
    assert violations(folder) == []


@pytest.mark.parametrize("damage", [deleted, cut, edited])
def test_an_output_that_is_damaged_is_refused(
    damage: Callable[[Path], None], tmp_path: Path, programs: Programs
) -> None:
    folder = killed(programs, tmp_path / "run")
    damage(folder / "output/low.csv")
    said = refused(programs, folder, "resume", run_id(database(folder)), code=8).said
    assert "low.csv" in said
    assert "--force-new" in said


def test_an_edit_behind_the_recorded_position_is_kept_before_it_is_cut(tmp_path: Path, programs: Programs) -> None:
    folder = killed(programs, tmp_path / "run")
    with (folder / "output/low.csv").open("ab") as file:
        file.write(b"a note of mine\n")
    programs.call(folder, "resume", run_id(database(folder)))
    assert violations(folder) == []
    kept = b"".join(path.read_bytes() for path in (folder / "state/cut").iterdir())
    assert b"a note of mine" in kept


def test_settings_are_refused_with_every_problem_at_once(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    settings = (
        DECIDING.replace("plugin: csv\n", "plugin: cvs\n", 1)
        .replace('"true": high', '"true": hihg')
        .replace("default_sink", "defualt_sink")
        .replace("max_workers: 2", "max_workers: many")
        .replace("input.csv", "${NOT_SET_ANYWHERE}")
    )
    (folder / "pipeline.yaml").write_text(settings, encoding="utf-8")
    said = refused(programs, folder, *RUN, code=2).said
    lines = settings.splitlines()
    for word, suggestion in (("cvs", "csv"), ("hihg", "high"), ("defualt_sink", "default_sink"), ("many", "")):
        number = next(at for at, line in enumerate(lines, 1) if word in line)
        assert f"pipeline.yaml:{number}" in said or f"line {number}" in said, word
        assert word in said
        assert suggestion in said
    assert "NOT_SET_ANYWHERE" in said


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    (folder / "pipeline.yaml").write_text(DECIDING.replace("gates:\n", "gates: [\n"), encoding="utf-8")
    said = refused(programs, folder, *RUN, code=2).said
    assert "pipeline.yaml" in said
    assert "line" in said


def test_without_execute_nothing_is_written(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    refused(programs, folder, "run", "--settings", "pipeline.yaml", code=0)
    assert outputs(folder) == {}
