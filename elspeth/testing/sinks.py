"""Checks a sink: it comes back to every position it answered, and a refused row leaves nothing behind."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from elspeth.errors import ElspethError, OutputDamaged, RunInProgress
from elspeth.plugins.contract import Context, Position, Row, Sink
from elspeth.plugins.sinks.positioned import PositionedSink
from elspeth.testing.claims import check_basics, context_of, fail, fresh, shown, through_json
from elspeth.testing.forked import ProcessFailed, forked

LIVES = ("written", "flushed", "finished")
"""How far a process had come with rows behind the position to which the next one comes back."""


def check_sink(
    sink: Sink,
    rows: Sequence[Row],
    *,
    content: Callable[[], Any] | None = None,
    damage: Callable[[], object] | None = None,
    clear: Callable[[], object] | None = None,
) -> None:
    """Raise `AssertionError` unless the sink keeps its contract with these rows, two or more, refused ones among them.

    The sink really writes where its options say: name a place in a temporary folder. `content` tells what the target
    holds now; without it that is the bytes of the files the positions name. `damage` changes a row that was written;
    without it a file is made one byte shorter. `clear` empties a target that keeps its rows when it is opened at the
    start again; called before each try. Processes are forked that write, and killed with SIGKILL while they do.
    """
    check_basics(sink)
    if len(rows) < 2:
        fail(sink, "needs two rows to be checked", f"{len(rows)} were given")
    with tempfile.TemporaryDirectory() as folder:
        context = context_of(sink)
        context.state_directory = Path(folder)
        _Trial(sink, rows, context, content, damage, clear).run()


class _Trial:
    """One sink under check: a position to start from, and what its output holds when nothing goes wrong."""

    def __init__(
        self, sink: Sink, rows: Sequence[Row], context: Context, content: Callable[[], Any] | None,
        damage: Callable[[], object] | None, clear: Callable[[], object] | None,
    ) -> None:  # fmt: skip
        self._sink = sink
        self._rows = list(rows)
        self._context = context
        self._content = content
        self._damage = damage
        self._clear = clear or (lambda: None)
        self._base: Position = {}
        self._answers: list[str | None] = []
        self._expected: Any = None

    def run(self) -> None:
        """Check claim by claim; the first that fails is raised."""
        self._check_inspect()
        self._answers, final = self._write_all([self._rows])
        self._expected = self._held(final)
        if self._sink.delivery == "at_least_once":
            return
        self._check_chunks()
        self._check_refused()
        for kept in range(len(self._rows) + 1):
            self._check_return(kept)
        for kept in range(len(self._rows) + 1):
            for when in LIVES:
                self._check_kill(kept, when)
        if self._files(final) or isinstance(self._sink, PositionedSink):
            self._check_lock()
        self._check_damage()

    def _check_inspect(self) -> None:
        looker = fresh(self._sink, self._context)
        before = [path.exists() for path in self._sink.outputs()]
        self._base = through_json(self._sink, looker.inspect(), "position")
        if looker.inspect() != self._base:
            fail(self._sink, "must find the same position each time it looks", f"found {shown(looker.inspect())}")
        if [path.exists() for path in self._sink.outputs()] != before:
            fail(self._sink, "must only look in `inspect`", "it created its output")

    def _check_chunks(self) -> None:
        answers, final = self._write_all([[row] for row in self._rows])
        if answers != self._answers:
            fail(self._sink, "must judge a row alone as it does among others", f"{answers} and before {self._answers}")
        self._compare(final, "must write the same whether rows come one by one or together")

    def _check_refused(self) -> None:
        taken = [row for row, answer in zip(self._rows, self._answers, strict=True) if answer is None]
        if len(taken) == len(self._rows):
            return
        _, final = self._write_all([taken])
        self._compare(final, "must leave nothing behind of a row it refused")

    def _check_return(self, kept: int) -> None:
        """Write some rows, answer a position, write the rest, die uncommitted; then come back and do it again."""
        position, answers = self._stand_at(kept, finish=True)
        again = fresh(self._sink, self._context)
        try:
            again.check(position)
            again.open(position)
            answers += self._write(again, self._rows[kept:])
            final = through_json(self._sink, again.finish(), "position")
        except OutputDamaged as error:
            fail(self._sink, "must come back to a position it answered", f"after row {kept} it says: {error.message}")
        finally:
            again.close()
        if answers != self._answers:
            fail(self._sink, "must judge rows alike after it came back", f"{answers} and before {self._answers}")
        self._compare(final, f"must come back to the position after row {kept} and go on as if nothing had happened")

    def _check_kill(self, kept: int, when: str) -> None:
        """Like `_check_return`, but the first process is one, and what ends it is SIGKILL."""
        position, answers = self._killed(kept, when)
        again = fresh(self._sink, self._context)
        claim = f"must come back after a SIGKILL that came when rows were {when}"
        try:
            again.check(position)
            again.open(position)
            answers += self._write(again, self._rows[kept:])
            final = through_json(self._sink, again.finish(), "position")
        except RunInProgress as error:
            fail(self._sink, "must hold a lock that ends with its process", f"after a SIGKILL it says: {error.message}")
        except ElspethError as error:
            fail(self._sink, claim, f"at the position after row {kept} it says: {error.message}")
        finally:
            again.close()
        if answers != self._answers:
            fail(self._sink, "must judge rows alike after it came back", f"{answers} and before {self._answers}")
        self._compare(final, f"{claim}, to the position after row {kept}, and go on as if nothing had happened")

    def _killed(self, kept: int, when: str) -> tuple[Position, list[str | None]]:
        """The position after some rows, answered by a process that went on and was killed."""

        def life(answer: Callable[[Any], None]) -> None:
            self._clear()
            sink = fresh(self._sink, self._context)
            sink.open(self._base)
            answers = self._write(sink, self._rows[:kept])
            answer((through_json(self._sink, sink.flush(), "position"), answers))
            self._write(sink, self._rows[kept:])
            if when != "written":
                sink.flush()
            if when == "finished":
                sink.finish()

        with forked(life) as heard:
            answer = next(heard, ProcessFailed("it ended without a word"))
            last = (
                answer if isinstance(answer, ProcessFailed) else next(heard, ProcessFailed("it ended without a word"))
            )
        if isinstance(answer, ProcessFailed) or isinstance(last, ProcessFailed):
            fail(self._sink, "must write in another process as it does in this one", f"there it failed: {last}")
        position, answers = answer
        return position, list(answers)

    def _check_lock(self) -> None:
        holder = fresh(self._sink, self._context)
        holder.open(self._base)
        rival = fresh(self._sink, self._context)
        try:
            rival.open(self._base)
        except RunInProgress:
            return
        finally:
            rival.close()
            holder.close()
        fail(
            self._sink,
            "must hold a lock on its output from `open` to `close`",
            "a second one opened it as well (flock is the lock to take: lockf ends when any descriptor closes)",
        )

    def _check_damage(self) -> None:
        position, _ = self._stand_at(len(self._rows), finish=False)
        if self._damage is not None:
            self._damage()
            self._require_damaged(position, "a row that was written is another one now, and that was accepted")
            return
        files = [file for file in self._files(position) if file.stat().st_size]
        for file in files:
            before = file.read_bytes()
            os.truncate(file, len(before) - 1)
            try:
                self._require_damaged(position, f"{file.name} was one byte short and that was accepted")
            finally:
                file.write_bytes(before)

    def _require_damaged(self, position: Position, accepted: str) -> None:
        try:
            fresh(self._sink, self._context).check(position)
        except OutputDamaged:
            return
        fail(self._sink, "must raise OutputDamaged when its output no longer holds what a position says", accepted)

    def _stand_at(self, kept: int, *, finish: bool) -> tuple[Position, list[str | None]]:
        self._clear()
        sink = fresh(self._sink, self._context)
        try:
            sink.open(self._base)
            answers = self._write(sink, self._rows[:kept])
            position = through_json(self._sink, sink.flush(), "position")
            if finish:
                self._write(sink, self._rows[kept:])
                sink.finish()
        finally:
            sink.close()
        return position, answers

    def _write_all(self, chunks: list[list[Row]]) -> tuple[list[str | None], Position]:
        self._clear()
        sink = fresh(self._sink, self._context)
        try:
            sink.open(self._base)
            answers = [answer for chunk in chunks for answer in self._write(sink, chunk)]
            final = through_json(self._sink, sink.finish(), "position")
        finally:
            sink.close()
        return answers, final

    def _write(self, sink: Sink, rows: list[Row]) -> list[str | None]:
        mine = copy.deepcopy(rows)
        answers = sink.write(mine)
        if len(answers) != len(rows):
            fail(self._sink, "must answer once for each row", f"{len(rows)} rows got {len(answers)} answers")
        if json.dumps(mine) != json.dumps(rows):
            fail(self._sink, "must not change the rows it is given", f"{shown(rows)} became {shown(mine)}")
        for answer in answers:
            if answer is not None and not answer.strip():
                fail(self._sink, "must say why it refuses a row", "the reason is empty")
        return list(answers)

    def _compare(self, position: Position, claim: str) -> None:
        found = self._held(position)
        if found != self._expected:
            fail(self._sink, claim, f"the output holds {shown(found)} and not {shown(self._expected)}")

    def _held(self, position: Position) -> Any:
        if self._content is not None:
            return self._content()
        return [file.read_bytes() for file in self._files(position)]

    def _files(self, position: Position) -> list[Path]:
        path = self._sink.describe(position).path
        if path is not None:
            return [Path(path)]
        return [path for path in self._sink.outputs() if path.is_file()]
