"""The way back to a position, in the one order that is safe: lock, prove ownership, check, cut."""

from __future__ import annotations

from elspeth.errors import ElspethError
from elspeth.plugins.contract import Context, Cut, Position, Sink


class PositionedSink(Sink):
    """A sink that can return to any position it answered. A kind of target adds what it means by these steps.

    While the lock is held no earlier attempt can write, and once ownership was proved behind it no later one exists:
    only then may anything be changed. Whatever a step raises, `close` is called, so what was locked is let go.
    """

    def __init__(self, options: object) -> None:
        super().__init__(options)
        self._context = Context(run_id="", node_id="")

    def setup(self, ctx: Context) -> None:
        """Keep the context: whose run it is, where copies go, what the input called its fields."""
        self._context = ctx

    def open(self, position: Position, *, replace: bool = False) -> list[Cut]:
        """Lock, prove, check and cut, or with `replace` take over; see `Sink.open`. Calls the steps below."""
        self.close()
        try:
            if replace:
                cuts = self.take_over(position)
            else:
                self.lock(position)
                self.prove()
                cuts = self.cut(position)
            self.resume(position)
        except BaseException:
            self.close()
            raise
        return cuts

    def prove(self) -> None:
        """Raise `TakenOver` if another attempt drives the run. Called between the lock and the first change."""
        self._context.prove()

    def lock(self, position: Position) -> None:
        """Take the output for this process, until `close` or its death; create it if it is to begin at `position`.

        Raises `RunInProgress` if another process has it. The lock must end with the process, however it dies.
        """
        raise NotImplementedError

    def cut(self, position: Position) -> list[Cut]:
        """Raise `OutputDamaged` unless everything before `position` is there; undo or skip what lies behind it.

        Called with the lock held. What is cut off and may be somebody's edit is copied first, and told.
        """
        raise NotImplementedError

    def take_over(self, position: Position) -> list[Cut]:
        """Like `lock` and `cut`, while a frozen process may hold the lock: whatever it does later must have no effect.

        Calls `prove` before the first change. The default is for targets that cannot shut anybody out.
        """
        raise ElspethError(
            f"Sink {self.name} cannot take its output over from a process that is frozen.",
            next_step="End that process, then resume without --take-over.",
        )

    def resume(self, position: Position) -> None:
        """Take back what `position` holds beside the place: called last, when the output stands there."""
