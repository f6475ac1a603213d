"""The kit finds sinks that break the contract: one for each claim, and the sentence it gets."""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import pytest
from pydantic import Field

from elspeth.errors import OutputDamaged, RunInProgress
from elspeth.plugins.contract import Cut, PluginOptions, Position, Row, Sink
from elspeth.testing import check_sink

ROWS: list[Row] = [{"a": 1, "inner": [1]}, {"a": 2, "inner": []}, {"a": -1, "inner": [2]}]


class LinesOptions(PluginOptions):
    """Where to write."""

    path: Path = Field(description="The file.")


class Lines(Sink):
    """A sink that keeps its contract, as short as it can be: numbers, one a line."""

    name = "lines"
    fd = -1

    def outputs(self) -> tuple[Path, ...]:
        return (self.options.path,)

    def inspect(self) -> Position:
        return {"size": 0, "sha256": hashlib.sha256().hexdigest(), "rows": 0}

    def check(self, position: Position) -> None:
        data = self.options.path.read_bytes()[: position["size"]] if position["size"] else b""
        if hashlib.sha256(data).hexdigest() != position["sha256"]:
            raise OutputDamaged("damaged")

    def open(self, position: Position, *, replace: bool = False) -> list[Cut]:
        self.check(position)
        self.fd = os.open(self.options.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self.lock()
        self.cut(position)
        self.rows = position["rows"]
        return []

    def lock(self) -> None:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunInProgress("locked") from None

    def cut(self, position: Position) -> None:
        os.ftruncate(self.fd, position["size"])

    def write(self, rows: list[Row]) -> list[str | None]:
        return [self.write_one(row) for row in rows]

    def write_one(self, row: Row) -> str | None:
        if row["a"] < 0:
            return "negative"
        os.write(self.fd, f"{row['a']}\n".encode())
        self.rows += 1
        return None

    def flush(self) -> Position:
        os.fsync(self.fd)
        data = self.options.path.read_bytes()
        return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": self.rows}

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    Options = LinesOptions


class NeverCuts(Lines):
    """Goes on wherever the file ends."""

    def cut(self, position: Position) -> None:
        pass


class HalfRefuses(Lines):
    """Writes a row and then refuses it."""

    def write_one(self, row: Row) -> str | None:
        os.write(self.fd, f"{row['a']}\n".encode())
        return "negative" if row["a"] < 0 else None


class Unlocked(Lines):
    """Takes no lock."""

    def lock(self) -> None:
        pass


class TrustsTheFile(Lines):
    """Does not compare."""

    def check(self, position: Position) -> None:
        pass


class CreatesEarly(Lines):
    """Creates its file when it should look."""

    def inspect(self) -> Position:
        self.options.path.touch()
        return super().inspect()


class LosesAnswers(Lines):
    """Answers only for the rows it took."""

    def write(self, rows: list[Row]) -> list[str | None]:
        return [answer for answer in super().write(rows) if answer is None]


class ShowsChunks(Lines):
    """Marks where a call began."""

    def write(self, rows: list[Row]) -> list[str | None]:
        os.write(self.fd, b"--\n")
        return super().write(rows)


class EditsRows(Lines):
    """Takes a field out of the row it is given."""

    def write_one(self, row: Row) -> str | None:
        row.pop("inner")
        return super().write_one(row)


class LeavesItsLock(Lines):
    """Takes a lock that somebody has to take away."""

    def open(self, position: Position, *, replace: bool = False) -> list[Cut]:
        try:
            self.options.path.with_name("lock").touch(exist_ok=False)
        except FileExistsError:
            raise RunInProgress("locked") from None
        self.mine = True
        return super().open(position, replace=replace)

    def close(self) -> None:
        super().close()
        if getattr(self, "mine", False):
            self.options.path.with_name("lock").unlink()
        self.mine = False


class WritesWhenClosed(Lines):
    """Says that rows are durable, and writes them when it is closed."""

    def open(self, position: Position, *, replace: bool = False) -> list[Cut]:
        cuts = super().open(position, replace=replace)
        self.data = self.options.path.read_bytes()
        return cuts

    def write_one(self, row: Row) -> str | None:
        if row["a"] < 0:
            return "negative"
        self.data += f"{row['a']}\n".encode()
        self.rows += 1
        return None

    def flush(self) -> Position:
        return {"size": len(self.data), "sha256": hashlib.sha256(self.data).hexdigest(), "rows": self.rows}

    def close(self) -> None:
        if self.fd >= 0:
            os.ftruncate(self.fd, 0)
            os.write(self.fd, self.data)
        super().close()


class DiesOnItsOwn(Lines):
    """Cannot work in a process that was forked."""

    def open(self, position: Position, *, replace: bool = False) -> list[Cut]:
        assert os.getpid() == MAIN, "not here"
        return super().open(position, replace=replace)


MAIN = os.getpid()


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (NeverCuts, "must (write the same|come back)"),
        (HalfRefuses, "must leave nothing behind of a row it refused"),
        (Unlocked, "must hold a lock on its output"),
        (TrustsTheFile, "must raise OutputDamaged"),
        (CreatesEarly, "must only look in `inspect`"),
        (LosesAnswers, "must answer once for each row"),
        (ShowsChunks, "must write the same whether rows come one by one or together"),
        (EditsRows, "must not change the rows it is given"),
        (LeavesItsLock, "must hold a lock that ends with its process; after a SIGKILL it says: locked"),
        (WritesWhenClosed, "must come back after a SIGKILL that came when rows were written"),
        (DiesOnItsOwn, "must write in another process as it does in this one; there it failed: .*not here"),
    ],
)
def test_a_broken_sink_is_told_which_claim_it_breaks(cls: type[Sink], words: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=words):
        check_sink(cls(LinesOptions(path=tmp_path / "out")), ROWS)


def test_a_sink_that_keeps_its_contract_passes(tmp_path: Path) -> None:
    check_sink(Lines(LinesOptions(path=tmp_path / "out")), ROWS)


class Posted(Lines):
    """Delivers at least once, so it cannot come back."""

    delivery = "at_least_once"

    def cut(self, position: Position) -> None:
        pass


def test_a_sink_that_delivers_at_least_once_need_not_come_back(tmp_path: Path) -> None:
    check_sink(Posted(LinesOptions(path=tmp_path / "out")), ROWS)
