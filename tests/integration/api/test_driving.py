"""Runs from Python: what the commands do, with an answer or an exception of ours at the end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import elspeth
from elspeth import errors
from elspeth.api import driving
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.held import killed_run, make
from tests.kit.processes.running import elspeth as command
from tests.kit.processes.running import pausing


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a pipeline."""
    monkeypatch.chdir(lay_out(tmp_path / "run", DECIDING))
    return tmp_path / "run"


def test_a_run_answers_what_status_says(folder: Path) -> None:
    seen = []
    finished = elspeth.run("pipeline.yaml", set={"concurrency.max_workers": 1}, watch=lambda at: seen.append(at))
    counts = finished.counts()
    assert (finished.status, finished.attempt, finished.already) == ("completed", 1, False)
    assert counts.rows == len(list(finished.rows())) > 0
    assert sum(counts.outcomes.values()) == len(list(finished.outcomes()))
    assert seen
    assert seen[-1].rows_committed == counts.rows
    assert Path.cwd() == folder
    assert finished.seconds > 0
    said = command("status", "latest", cwd=folder).stdout
    assert f"{counts.rows} rows" in said


def test_outputs_are_those_of_the_command(folder: Path, tmp_path: Path) -> None:
    elspeth.run(Path("pipeline.yaml"))
    other = lay_out(tmp_path / "other", DECIDING)
    assert command("run", "--settings", "pipeline.yaml", "--execute", cwd=other).returncode == 0
    written = [{file.name: file.read_bytes() for file in (each / "output").iterdir()} for each in (folder, other)]
    assert written[0] == written[1]
    assert written[0]


def test_a_killed_run_is_resumed_from_another_folder_which_stays_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = killed_run(make(tmp_path / "there"))
    (tmp_path / "there" / "go").touch()
    monkeypatch.chdir(tmp_path)
    finished = elspeth.resume("latest", database=tmp_path / "there" / "runs" / "audit.db")
    assert (finished.run_id, finished.attempt, finished.status) == (run_id, 2, "completed")
    assert Path.cwd() == tmp_path
    again = elspeth.resume(run_id, database=finished.database)
    assert (again.already, again.attempt) == (True, 2)


@pytest.mark.parametrize(
    ("call", "kind", "code"),
    [
        (lambda: elspeth.run("missing.yaml"), errors.SettingsError, 2),
        (lambda: elspeth.run("pipeline.yaml", set={"nothing.there": 1}), errors.SettingsError, 2),
        (lambda: elspeth.resume("latest"), errors.ElspethError, 1),
        (lambda: elspeth.open(), errors.ElspethError, 1),
        (lambda: elspeth.open("nowhere.db"), errors.SettingsError, 2),
    ],
)
def test_what_cannot_be_done_is_an_error_with_the_exit_code_of_the_command(
    folder: Path, call: object, kind: type[errors.ElspethError], code: int
) -> None:
    with pytest.raises(kind) as caught:
        call()  # type: ignore[operator]
    assert caught.value.exit_code == code
    assert caught.value.message
    assert not (folder / "output").exists()


def test_a_run_that_is_not_there_is_named(folder: Path) -> None:
    elspeth.run("pipeline.yaml")
    with pytest.raises(errors.RunNotFound):
        elspeth.open().run("zzzz")
    with pytest.raises(errors.RunNotFound):
        elspeth.resume("zzzz")


def test_an_unfinished_run_is_in_the_way_and_is_continued_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = killed_run(make(tmp_path / "there"))
    (tmp_path / "there" / "go").touch()
    monkeypatch.chdir(tmp_path / "there")
    with pytest.raises(errors.RunInProgress) as caught:
        elspeth.run("out.yaml")
    assert caught.value.exit_code == 3
    finished = elspeth.run("out.yaml", auto_resume=True)
    assert (finished.run_id, finished.attempt) == (run_id, 2)
    done = elspeth.run("out.yaml", auto_resume=True)
    assert (done.run_id, done.already) == (run_id, True)


def test_rows_of_which_none_passes_are_an_error_with_exit_code_10_and_the_run_is_complete(folder: Path) -> None:
    (folder / "input.csv").write_text("id,amount,note\n1,x,a\n2,y,b\n")
    with pytest.raises(errors.RowsFailed) as caught:
        elspeth.run("pipeline.yaml")
    assert caught.value.exit_code == errors.EXIT_ROWS_FAILED
    assert "amount" in caught.value.details[0]
    assert elspeth.open().run().status == "completed"
    again = elspeth.resume("latest", allow_all_failed=True)
    assert again.already


def test_some_refused_rows_are_an_error_only_where_that_is_asked_for(folder: Path) -> None:
    elspeth.run("pipeline.yaml")
    with pytest.raises(errors.RowsFailed, match="quarantined"):
        elspeth.resume("latest", fail_on_rows=True)


def test_a_signal_ends_the_run_in_order_and_the_error_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = pausing(tmp_path, 20)
    sent: list[int] = []

    def watch(_: object) -> None:
        if Path("reached").exists() and not sent:
            sent.append(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(errors.Interrupted) as caught:
        elspeth.run("pipeline.yaml", watch=watch, set={"supervisor.shutdown_seconds": 0.5})
    assert caught.value.exit_code == 130
    assert "elspeth resume" in caught.value.next_step
    assert signal.getsignal(signal.SIGINT) is before
    Path("go").touch()
    assert elspeth.resume().attempt == 2
    assert (tmp_path / "output" / "out.csv").read_text().split() == expected.split()


def test_a_run_in_a_thread_and_a_second_one_beside_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pausing(tmp_path, 20)
    refused: list[errors.ElspethError] = []
    ended: list[object] = []

    def watch(_: object) -> None:
        if Path("reached").exists() and not refused:
            try:
                elspeth.run("pipeline.yaml")
            except errors.ElspethError as error:
                refused.append(error)
            Path("go").touch()

    thread = threading.Thread(target=lambda: ended.append(elspeth.run("pipeline.yaml", watch=watch)))
    thread.start()
    thread.join()
    assert [type(error) for error in refused] == [errors.RunInProgress]
    assert [type(end) for end in ended] == [elspeth.Finished]


def test_what_happens_meanwhile_goes_to_the_logger(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="elspeth"):
        finished = elspeth.run("pipeline.yaml")
    assert any(finished.run_id in record.getMessage() for record in caplog.records)


def test_a_plugin_that_would_end_the_program_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pausing(tmp_path, 3)
    source = (
        "from elspeth.plugins.contract import Source\n\nclass Leaving(Source):\n    name = 'leaving'\n"
        "    def describe(self):\n        raise SystemExit(5)\n    def read(self, cursor):\n        yield from ()\n"
    )
    Path("leaving.py").write_text(source)
    text = Path("pipeline.yaml").read_text().splitlines()
    kept = "\n".join(line for line in text if not line.startswith(("  options: {path: input", "  on_validation")))
    Path("pipeline.yaml").write_text(kept.replace("plugin: csv", "plugin: leaving", 1).replace("[", "[leaving.py, ", 1))
    with pytest.raises(errors.ElspethError, match=r"a plugin ended the program: sys.exit\(5\)"):
        elspeth.run("pipeline.yaml")


def test_texts_stay_texts_and_numbers_numbers(folder: Path) -> None:
    finished = elspeth.run(
        "pipeline.yaml", set={"name": "12", "checkpoint.checkpoint_interval": 25, "landscape.dump_to_jsonl": False}
    )
    stored = finished.record.settings_json
    assert '"name": "12"' in stored
    assert '"checkpoint_interval": 25' in stored
    assert not list(folder.glob("runs/*.jsonl"))


def test_whoever_imports_elspeth_imports_nothing_else() -> None:
    script = "import sys, elspeth; print([name for name in sys.modules if name.startswith(('elspeth.', 'actors'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_that_is_offered_is_there_and_typed() -> None:
    stub = Path(elspeth.__file__).with_suffix(".pyi").read_text()
    for name in elspeth.__all__:
        assert getattr(elspeth, name) is not None
        assert f" as {name}\n" in stub or f"{name}: str" in stub
    assert set(elspeth.__all__) <= set(dir(elspeth))
    with pytest.raises(AttributeError, match="nothing_like_it"):
        elspeth.nothing_like_it  # noqa: B018


def test_the_lock_is_free_again_after_every_end(folder: Path) -> None:
    with pytest.raises(errors.SettingsError):
        elspeth.run("missing.yaml")
    assert driving._driving.acquire(blocking=False)
    driving._driving.release()


def test_a_plugin_that_was_changed_between_two_runs_is_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pausing(tmp_path, 3)
    elspeth.run("pipeline.yaml")
    assert "more" not in Path("output/out.csv").read_text()
    text = Path("pausing.py").read_text()
    Path("pausing.py").write_text(text.replace("        return row", '        return {**row, "more": 1}'))
    Path("output/out.csv").unlink()
    elspeth.run("pipeline.yaml")
    assert "more" in Path("output/out.csv").read_text()
