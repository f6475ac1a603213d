"""The command under test as a program: started in a folder and a process group of its own, killed by pid, awaited."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.kit.processes.waiting import PATIENCE_SECONDS, no_process_in, wait_until

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [str(Path(sys.executable).with_name("elspeth"))]
ELSEWHERE = {"WORKERS_ELSEWHERE": "1"}
"""In the environment of a program: all its workers are beside agents, and see nothing of its folder."""
SEED = "WORKERS_ELSEWHERE_SEED"
"""A variable beside these: what agents are sent, and say, comes late, doubled and out of order."""


def standard_input(folder: Path) -> Path:
    """What a program in this folder is given by standard input: the file `stdin`, or nothing."""
    given = folder / "stdin"
    return given if given.exists() else Path(os.devnull)


def command(environment: Mapping[str, str]) -> list[str]:
    """How the command is started."""
    return [sys.executable, "-m", "tests.kit.elsewhere"] if ELSEWHERE.items() <= environment.items() else COMMAND


class Program:
    """One call of the command. Its output goes to files beside the folder, so that nothing blocks it or is lost.

    Its standard input is the file `stdin` of the folder, if there is one.
    """

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.words = words
        self._dies_as_a_group = environment.get("CRASH_GROUP") == "1"
        logs = folder.with_name(folder.name + ".logs")
        logs.mkdir(exist_ok=True)
        number = len(list(logs.glob("*.err")))
        self._out, self._err = logs / f"{number}.out", logs / f"{number}.err"
        variables = {key: value for key, value in os.environ.items() if not key.startswith(("CRASH_", "ELSPETH_"))}
        variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [variables.get("PYTHONPATH")])])
        with self._out.open("wb") as out, self._err.open("wb") as err, standard_input(folder).open("rb") as stdin:
            self.popen = subprocess.Popen(
                [*command(environment), *words], cwd=folder, env=variables | environment, stdin=stdin, stdout=out,
                stderr=err, start_new_session=True,
            )  # fmt: skip
        self.pid = self.popen.pid

    @property
    def out(self) -> str:
        """What it has printed on stdout."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def err(self) -> str:
        """What it has printed on stderr, its children's last words included."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    @property
    def said(self) -> str:
        """Everything it has printed."""
        return self.out + self.err

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Its exit code, negative for a signal. Raises `AssertionError` if it does not end.

        Of a group that a crash point kills, the main process may go first: who is dying still holds its locks.
        """
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"{self.words} did not end within {timeout} s:\n{self.said}") from None
        if self._dies_as_a_group and code == -signal.SIGKILL:
            wait_until(self.is_alone, what="the rest of the killed group is gone")
        return code

    def ends_with(self, code: int, timeout: float = PATIENCE_SECONDS) -> Program:
        """Assert the exit code; answers itself."""
        found = self.wait(timeout)
        assert found == code, f"{self.words} ended with {found}, not {code}:\n{self.said}"
        return self

    def kill(self) -> None:
        """SIGKILL of the main process alone; returns when it and its children are gone."""
        self.popen.kill()
        self.popen.wait()
        wait_until(self.is_alone, what="the children notice the death of the main process")

    def is_alone(self) -> bool:
        """Whether no process of its group is left, the main process apart."""
        return no_process_in(self.pid)

    def end(self) -> None:
        """Leave nothing of it behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()


class Programs:
    """Starts programs for one test and sees to it that none outlives it."""

    def __init__(self) -> None:
        self._started: list[Program] = []

    def start(self, folder: Path, *words: str, **environment: str) -> Program:
        """Start the command with these words in `folder`."""
        program = Program(folder, *words, **environment)
        self._started.append(program)
        return program

    def call(self, folder: Path, *words: str, code: int = 0, timeout: float = PATIENCE_SECONDS) -> Program:
        """Run the command to its end and assert its exit code."""
        return self.start(folder, *words).ends_with(code, timeout)

    def end(self) -> None:
        for program in self._started:
            program.end()


@contextlib.contextmanager
def programs() -> Iterator[Programs]:
    """Programs that are ended with the block."""
    started = Programs()
    try:
        yield started
    finally:
        started.end()
