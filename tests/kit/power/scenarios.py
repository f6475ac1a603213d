"""What is recorded: a scenario for each way in which a run leaves something on disk; most are killed and resumed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.kit.fixtures.unpack import unpack
from tests.kit.pipelines.crash_pipelines import BATCHING, DECIDING, DELAY, write_input, write_parts
from tests.kit.processes.program import COMMAND, ROOT, programs, wait_until
from tests.kit.processes.tree import Tree, committed, descendants_of, state_of

ROWS = 120

Command = tuple[str, ...]
RUN: Command = ("run", "--settings", "pipeline.yaml", "--execute")
RESUME: Command = ("resume", "latest")


@dataclass(frozen=True, slots=True)
class Step:
    """A command that is recorded; with `dies_at` all of its processes die at this crash point."""

    words: Command
    dies_at: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A folder, what is done in it unrecorded (`before`; what it starts lives as long as the recording), then recorded.

    `then` is what an operator does last, again after a power cut in it; a run that is not complete is resumed first.
    `recompute`: whether the independent checker can work out what must come of each row. `old`: whether an earlier
    release wrote the records, which that checker does not know.
    """

    name: str
    lay: Callable[[Path], None]
    steps: tuple[Step, ...]
    before: Callable[[Path], AbstractContextManager[None]] = lambda folder: nullcontext()
    resume: Command = RESUME
    then: tuple[Command, ...] = ()
    recompute: bool = True
    old: bool = False


def _pipeline(settings: str, *old: tuple[str, str], rows: int = ROWS) -> Callable[[Path], None]:
    """Lays settings, an input, and files of an earlier day."""

    def lay(folder: Path) -> None:
        (folder / "pipeline.yaml").write_text(settings, encoding="utf-8")
        (folder / "delay.py").write_text(DELAY, encoding="utf-8")
        write_input(folder / "input.csv", rows)
        if "path: parts" in settings:
            write_parts(folder / "parts", rows)
        if 'path: "-"' in settings:
            (folder / "stdin").write_bytes((folder / "input.csv").read_bytes())
        for name, content in old:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")

    return lay


def _died_and_resumed(point: str) -> tuple[Step, ...]:
    return Step(RUN, point), Step(RESUME)


def _with(settings: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in settings, old
        settings = settings.replace(old, new)
    return settings


_FEW = ("checkpoint_interval: 50", "checkpoint_interval: 25")
_NO_JOURNAL = ("landscape: {dump_to_jsonl: true}\n", "")
_NEVER = "  never: {plugin: json, options: {path: output/never.jsonl}}\n"
WRITE = _with(
    DECIDING, _FEW, _NO_JOURNAL, ("output/high.json", "output/high.jsonl"), ("sinks:\n", "sinks:\n" + _NEVER),
    ("low: {plugin: csv,", "low: {plugin: csv, on_write_failure: never,"),
)  # fmt: skip
APPEND = _with(
    WRITE, ("{path: output/low.csv}", "{path: output/low.csv, mode: append}"),
    ("{path: output/high.jsonl}", "{path: output/high.jsonl, mode: append}"),
)  # fmt: skip
ARRAY = _with(
    WRITE, ("{path: output/high.jsonl}", "{path: output/high.json, indent: 2}"),
    ("{plugin: csv, on_write_failure: never, options: {path: output/low.csv}}",
     "{plugin: json, on_write_failure: never, options: {path: output/low.json}}"),
)  # fmt: skip
PACKED = _with(
    WRITE, ("path: input.csv", "path: parts"), ("output/low.csv", "output/low.csv.gz"),
    ("output/high.jsonl", "output/high.jsonl.xz"),
)  # fmt: skip
FROM_STDIN = _with(WRITE, ("path: input.csv", 'path: "-"'))
JOURNAL = _with(DECIDING, _FEW)
PAYLOADS = WRITE + "payload_store: {inline_limit_bytes: 30}\n"
JOIN = """\
source:
  plugin: csv
  options:
    path: input.csv
    schema: {mode: free, fields: ["id: int", "amount: int"]}
    on_validation_failure: refused
  on_success: all
transforms:
  - name: twice
    plugin: value_transform
    input: left
    options: {operations: [{target: twice, expression: "row['amount'] * 2"}]}
    on_success: left_done
  - name: half
    plugin: value_transform
    input: right
    options: {operations: [{target: half, expression: "row['amount'] / 2"}]}
    on_success: right_done
gates:
  - name: size
    input: all
    condition: "row['amount'] > 1000"
    routes: {"true": fork, "false": low}
    fork_to: [left, right]
coalesce:
  - name: both
    branches: {left: left_done, right: right_done}
    policy: require_all
    merge: union
    on_success: high
sinks:
  low: {plugin: csv, options: {path: output/low.csv}}
  high: {plugin: csv, options: {path: output/high.csv}}
  refused: {plugin: json, options: {path: output/refused.jsonl, format: jsonl}}
checkpoint: {frequency: every_n, checkpoint_interval: 25}
concurrency: {max_workers: 2}
"""
EXPORT = _with(
    WRITE, ("default_sink: low\n", "default_sink: low\nlandscape: {export: {enabled: true, sink: evidence}}\n"),
    ("sinks:\n", "sinks:\n  evidence: {plugin: json, options: {path: exported/evidence.jsonl, mode: append}}\n"),
)  # fmt: skip
BATCHES = _with(BATCHING, _FEW) + "payload_store: {inline_limit_bytes: 20}\n"
SLOW = _with(
    WRITE, ("transforms:\n", "plugins: [delay.py]\ntransforms:\n  - {plugin: delay, options: {seconds: 0.01}}\n")
)
OLD = (
    ("output/low.csv", "id,amount,note,twice\n" + "1,2,what an earlier run left,4\n" * 400),
    ("output/refused.jsonl", '{"an": "earlier run"}\n' * 900),
    ("output/never.jsonl", '{"an": "earlier run"}\n'),
)
BEFORE = (
    ("output/low.csv", "id,amount,note,twice\n1,2,of an earlier day,4\n"),
    ("output/high.jsonl", '{"of": "an earlier day"}\n'),
)


@contextmanager
def _frozen(folder: Path) -> Iterator[None]:
    """A run that stands still in the middle, with all its processes."""
    with Tree.run(folder, environ={"PYTHONPATH": str(ROOT)}) as tree:
        wait_until(lambda: committed(folder) > 20)
        everybody = [tree.pid, *descendants_of(tree.pid)]
        for pid in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(state_of(pid) in ("T", "", "Z", "X") for pid in everybody))
        for log in [*folder.glob("log-*"), *folder.glob("result-*")]:
            log.unlink()
        try:
            yield
        finally:
            for pid in everybody[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def _completed(folder: Path) -> Iterator[None]:
    """A run that was killed, so that it left cut tails, and completed."""
    with programs() as started:
        mark = folder.with_name(folder.name + ".mark")
        started.start(folder, *RUN, CRASH_POINT=f"sink.after_flush:2:{mark}", CRASH_GROUP="1").ends_with(-9)
        started.call(folder, *RESUME)
    yield


def _unpacked(folder: Path) -> None:
    folder.rmdir()
    unpack("interrupted", folder)


PURGE: Command = ("purge", "--older-than", "0s")
HERE = ("--working-directory", ".", "--accept-changed-code")

SCENARIOS = (
    Scenario("write", _pipeline(WRITE, *OLD), _died_and_resumed("sink.after_flush:2")),
    Scenario("append", _pipeline(APPEND, *BEFORE), _died_and_resumed("sink.after_write:2")),
    Scenario("json array", _pipeline(ARRAY), _died_and_resumed("audit.after_commit:2")),
    Scenario("many packed files", _pipeline(PACKED), _died_and_resumed("sink.after_member_end:3")),
    Scenario("standard input", _pipeline(FROM_STDIN), _died_and_resumed("sink.after_flush:2"), recompute=False),
    Scenario("journal", _pipeline(JOURNAL), _died_and_resumed("audit.before_journal:2")),
    Scenario("payloads", _pipeline(PAYLOADS), _died_and_resumed("audit.in_transaction:2")),
    Scenario("join", _pipeline(JOIN), _died_and_resumed("sink.after_flush:2"), recompute=False),
    Scenario("aggregation", _pipeline(BATCHES), _died_and_resumed("stage.after_send:2"), recompute=False),
    Scenario("export", _pipeline(EXPORT, ("exported/evidence.jsonl", '{"an": "earlier export"}\n')),
             _died_and_resumed("main.after_shutdown:1"), recompute=False),
    Scenario("take-over", _pipeline(SLOW), (Step((*RESUME, "--take-over")),), before=_frozen, recompute=False),
    Scenario("purge", _pipeline(PAYLOADS), (Step(PURGE), Step((*PURGE, "--whole"))), before=_completed,
             then=(PURGE, (*PURGE, "--whole")), recompute=False),
    Scenario("migration", _unpacked, (Step((*RESUME, *HERE)),), resume=(*RESUME, *HERE), old=True),
)  # fmt: skip

__all__ = ["COMMAND", "SCENARIOS", "Scenario", "Step"]
