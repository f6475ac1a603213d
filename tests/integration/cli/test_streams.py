"""Standard streams that are closed or full: work goes on, exit codes are true, and nothing is printed into a file."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.processes.tree import COMMAND

FULL = Path("/dev/full")
RUN = ("run", "--settings", "pipeline.yaml", "--execute")


def closed(*descriptors: int) -> Callable[[], None]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


def call(
    folder: Path, *words: str, before: Callable[[], None] | None = None, env: dict[str, str] | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more
    return subprocess.run(
        [COMMAND, *words], cwd=folder, preexec_fn=before, text=True, timeout=600, check=False,
        env={**os.environ, "NO_COLOR": "1", **(env or {})}, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lay(tmp_path_factory.mktemp("done") / "run", 30, settings())
    assert call(folder, *RUN).returncode == 0
    return folder


@pytest.mark.parametrize("descriptors", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_a_run_with_closed_streams_does_its_work_and_prints_into_no_file(
    tmp_path: Path, descriptors: tuple[int, ...]
) -> None:
    folder = lay(tmp_path / "run", 30, settings(poison_attempts=1), {7: "exit"})
    assert call(folder, *RUN, before=closed(*descriptors)).returncode == 0
    assert violations(folder, poisoned=(7,)) == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_whose_words_find_no_room_does_its_work(tmp_path: Path, stream: str) -> None:
    folder = lay(tmp_path / "run", 30, settings())
    with FULL.open("w") as full:
        found = call(folder, *RUN, **{stream: full})
    assert found.returncode == 0
    assert "Traceback" not in str(found.stderr)
    assert violations(folder) == []


@pytest.mark.parametrize("words", [("status", "latest"), ("runs", "--json"), ("--version",), ("explain", "--help")])
def test_a_result_that_finds_no_room_is_exit_75_with_its_reason(done: Path, words: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        found = call(done, *words, stdout=full)
    assert found.returncode == 75
    assert "the result could not be written to standard output: No space left on device" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_result_for_a_stream_that_is_closed_is_exit_75(done: Path) -> None:
    found = call(done, "status", "latest", before=closed(1))
    assert (found.returncode, found.stdout) == (75, "")
    assert "it is closed" in found.stderr


def test_the_json_result_of_a_run_that_finds_no_room_is_exit_75(done: Path) -> None:
    with FULL.open("w") as full:
        assert call(done, "resume", "latest", "--json", stdout=full).returncode == 75
        assert call(done, "resume", "latest", stdout=full).returncode == 0


def test_an_exit_code_that_says_more_is_kept(done: Path) -> None:
    with FULL.open("w") as full:
        assert call(done, "status", "nosuchid", stdout=full, stderr=full).returncode == 4


def test_a_reader_that_has_seen_enough_is_no_trouble(done: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        found = call(done, "status", "latest", stdout=gone)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_file_that_may_not_grow_is_named(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 30, settings())
    found = call(folder, *RUN, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    assert found.returncode == 75, found.stderr
    assert "bug" not in found.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_a_locale_without_umlauts_loses_no_words(tmp_path: Path, locale: str) -> None:
    folder = lay(tmp_path / "Läufe", 5, settings())
    plain = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = call(folder, *RUN, env=plain)
    assert found.returncode == 0, found.stderr
    assert "Läufe" in found.stdout
    assert violations(folder) == []
