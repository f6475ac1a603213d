"""A file that a lookup reads decides results: refused before a run where it is bad, and when it changes meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.kit.processes.recorded_run import query
from tests.kit.processes.running import PAUSING_PIPELINE, begin, elspeth, pausing, wait_until
from tests.kit.provider.server import FakeProvider

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
LOOKUP = "  - {name: find, plugin: lookup, options: {path: names.csv, keys: {id: number}, fields: {name: name}}}\n"
NAMES = "number,name\n" + "".join(f"{number},name {number}\n" for number in range(50))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pausing(tmp_path, 50)
    text = PAUSING_PIPELINE.replace("transforms:\n", "transforms:\n" + LOOKUP)
    (tmp_path / "pipeline.yaml").write_text(text + "checkpoint: {frequency: every_row}\n")
    (tmp_path / "names.csv").write_text(NAMES)
    return tmp_path


def killed(folder: Path) -> None:
    process = begin(*RUN, cwd=folder)
    wait_until(lambda: (folder / "reached").exists(), process)
    process.kill()
    process.communicate()
    (folder / "go").touch()


def test_a_run_that_was_killed_goes_on_with_the_same_file(folder: Path) -> None:
    killed(folder)
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 0, done.stderr
    expected = "id,name\n" + "".join(f"{number},name {number}\n" for number in range(50))
    assert (folder / "output" / "out.csv").read_text() == expected


def test_a_file_that_changed_since_is_exit_6_by_name_until_it_is_accepted(folder: Path) -> None:
    killed(folder)
    (folder / "names.csv").write_text(NAMES.replace("name 49", "another"))
    refused = elspeth("resume", "latest", cwd=folder)
    assert refused.returncode == 6
    assert "Configuration mismatch" in refused.stderr
    assert "a reference file of a plugin changed (names.csv)" in refused.stderr
    accepted = elspeth("resume", "latest", "--accept-changed-code", cwd=folder)
    assert accepted.returncode == 0, accepted.stderr
    assert (folder / "output" / "out.csv").read_text().endswith("49,another\n")


def _closed(path: Path) -> None:
    """A file that may not be read; root may read all, so that a link in a circle stands for it there."""
    if os.geteuid() == 0:
        path.symlink_to(path.name)
    else:
        path.touch(0)


WAYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "No such file or directory"),
    "unreadable": (_closed, ""),
    "folder": (Path.mkdir, "it is no regular file"),
    "pipe": (os.mkfifo, "it is no regular file"),
}


def _away(path: Path) -> None:
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_not_there_is_in_the_way_of_a_resume_and_a_mistake_at_the_first_run(
    way: str, folder: Path
) -> None:
    file = folder / "names.csv"
    lay, words = WAYS[way]
    _away(file)
    lay(file)
    refused = elspeth(*RUN, cwd=folder)
    assert refused.returncode == 2, refused.stderr
    _away(file)
    file.write_text(NAMES)
    killed(folder)
    _away(file)
    lay(file)
    for command in (("resume", "latest"), (*RUN, "--auto-resume")):
        refused = elspeth(*command, cwd=folder)
        assert refused.returncode == 75, refused.stderr
        assert "the reference file names.csv of a plugin cannot be read" in refused.stderr
        assert words in refused.stderr
        assert "put it back as it was, then: elspeth resume " in refused.stderr
    _away(file)
    file.write_text(NAMES)
    done = elspeth(*RUN, "--auto-resume", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output" / "out.csv").read_text().endswith("49,name 49\n")


ASK = """  - plugin: llm
    name: ask
    on_error: discard
    options:
      {provider: main, model: m, prompt_file: prompt.txt, system_file: system.txt, lookups: {words: words.yaml}}
"""


def test_files_of_a_question_are_in_the_way_of_a_resume_just_so(folder: Path) -> None:
    texts = {
        "prompt.txt": "{{ lookup.words.hello }} {{ row.id }}",
        "system.txt": "Be brief.",
        "words.yaml": "hello: Hallo\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    with FakeProvider(answer=lambda asked: "yes") as provider:
        text = (folder / "pipeline.yaml").read_text().replace("sinks:\n", ASK + "sinks:\n", 1)
        account = f"providers: {{main: {{kind: openai, base_url: '{provider.url}', api_key: '${{MODEL_KEY}}'}}}}\n"
        (folder / ".env").write_text("MODEL_KEY=k\n")
        (folder / "pipeline.yaml").write_text(text + account)
        killed(folder)
        for name in texts:
            for lay in (lambda path: None, Path.mkdir):
                _away(folder / name)
                lay(folder / name)
                refused = elspeth("resume", "latest", cwd=folder)
                assert refused.returncode == 75, refused.stderr
                assert f"the reference file {name} of a plugin cannot be read" in refused.stderr
            _away(folder / name)
            (folder / name).write_text(texts[name])
        done = elspeth("resume", "latest", cwd=folder)
        assert done.returncode == 0, done.stderr
    assert (folder / "output" / "out.csv").read_text().count("yes") == 50


def test_a_file_that_is_gone_when_a_worker_is_restarted_ends_the_attempt_with_75(folder: Path) -> None:
    process = begin(*RUN, cwd=folder)
    wait_until(lambda: (folder / "reached").exists(), process)
    (folder / "names.csv").unlink()
    children = psutil.Process(process.pid).children(recursive=True)
    (worker,) = [child for child in children if _is_worker(child)]
    worker.kill()
    (folder / "go").touch()
    _, said = process.communicate()
    assert process.returncode == 75, said
    assert "the reference file names.csv of a plugin cannot be read" in said
    (folder / "names.csv").write_text(NAMES)
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output" / "out.csv").read_text().endswith("49,name 49\n")


def test_a_file_that_changed_before_a_worker_was_restarted_ends_the_run_with_6(folder: Path) -> None:
    process = begin(*RUN, cwd=folder)
    wait_until(lambda: (folder / "reached").exists(), process)
    (folder / "names.csv").write_text(NAMES.replace("name 49", "another"))
    children = psutil.Process(process.pid).children(recursive=True)
    (worker,) = [child for child in children if _is_worker(child)]
    worker.kill()
    (folder / "go").touch()
    _, said = process.communicate()
    assert process.returncode == 6, said
    assert "the reference file names.csv of find changed while the run went on" in said
    (folder / "names.csv").write_text(NAMES)
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output" / "out.csv").read_text().endswith("49,name 49\n")


def _is_worker(process: psutil.Process) -> bool:
    return any("worker" in word for word in (process.name(), *process.cmdline()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NAMES + "7,again\n", "the reference file names.csv, line 52, has a key that stands there before: number '7'"),
        ("id,name\n1,x\n", "has no column 'number'"),
        (None, "names.csv cannot be read: No such file or directory"),
    ],
)
def test_a_bad_file_is_refused_before_anything_is_written(folder: Path, text: str | None, words: str) -> None:
    (folder / "names.csv").unlink()
    if text is not None:
        (folder / "names.csv").write_text(text)
    for command in (("validate", "--settings", "pipeline.yaml"), RUN):
        refused = elspeth(*command, cwd=folder)
        assert refused.returncode == 2, refused.stderr
        assert words in refused.stderr + refused.stdout
        assert not (folder / "output").exists()
        assert not (folder / "runs").exists()


def test_its_hash_is_part_of_what_drove_the_run(folder: Path) -> None:
    (folder / "go").touch()
    for number in (0, 1, 1):
        (folder / "names.csv").write_text(NAMES + f"{100 + number},x\n")
        done = elspeth(*RUN, cwd=folder)
        assert done.returncode == 0, done.stderr
    hashes = [
        found for (found,) in query(folder / "runs/audit.db", "SELECT pipeline_hash FROM runs ORDER BY started_at")
    ]
    assert hashes[0] != hashes[1] == hashes[2]
