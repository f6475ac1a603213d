"""Who is stopped and started again when a child ends: restart types, strategies, restart intensity. Pure: no process,
no clock; time comes in as an argument.

Source: https://www.erlang.org/doc/design_principles/sup_princ and `do_restart`, `restart`, `add_restart` in OTP's
supervisor.erl. Two things differ. A child that somebody asked to stop, or that ended as it was meant to, stays down
when a strategy starts those after it. And spent intensity gives up one child, not the whole tree: the listener is told,
and decides.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from actors.events import ChildDown, GaveUp
from actors.spec import Restart

Strategy = Literal["one_for_one", "rest_for_one"]
"""`one_for_one`: only the child that died is started again. `rest_for_one`: those that were started after it need it,
so they are stopped, the last first, and all are started again in their order."""


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """At most `max_restarts` within any `within_seconds`; with one more the supervisor gives up. 0 means never."""

    max_restarts: int = 3
    within_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.max_restarts < 0:
            raise ValueError(f"max_restarts is {self.max_restarts!r}; it must be 0 or more")
        if not (math.isfinite(self.within_seconds) and self.within_seconds > 0):
            raise ValueError(f"within_seconds is {self.within_seconds!r}; it must be seconds above 0")

    def recent(self, timestamps: Sequence[float], now: float) -> list[float]:
        """Those of the earlier restarts (seconds, any monotonic clock) that still count at `now`."""
        return [then for then in timestamps if now <= then + self.within_seconds]

    def allowed(self, timestamps: Sequence[float], now: float) -> bool:
        """Whether one more restart at `now` stays within the intensity, after restarts at `timestamps`."""
        return len(self.recent(timestamps, now)) < self.max_restarts


def wanted(restart: Restart, exit_code: int | None) -> bool:
    """Whether a child of this kind is to be started again after it ended.

    A permanent child always, a temporary one never, a transient one unless it ended normally (exit code 0).
    """
    return restart == "permanent" or (restart == "transient" and exit_code != 0)


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask this child to stop; SIGKILL when its time is over."""

    name: str


@dataclass(frozen=True, slots=True)
class StartDue:
    """Nothing is waited for any more: what `Supervision.due` names is to be started, in that order."""


Command = Stop | StartDue | GaveUp


class Supervision:
    """What is to be done about the end of children, by their restart types and one strategy for all of them.

    Whoever carries it out says what happens (`started`, `ended`, ...) and does what it is answered, in order:

        supervision = Supervision("rest_for_one", RestartIntensity())
        supervision.started("database", "permanent")
        supervision.started("server", "permanent")
        supervision.ended(down_of_database, now)    # -> [Stop("server")]: it stood on what is gone
        supervision.ended(down_of_server, now)      # -> [StartDue()]
        supervision.due()                           # -> ("database", "server")
    """

    def __init__(self, strategy: Strategy, intensity: RestartIntensity) -> None:
        self._strategy = strategy
        self._intensity = intensity
        self._order: dict[str, Restart] = {}  # all children, as they were started
        self._up: set[str] = set()
        self._resigned: set[str] = set()  # asked to stop by somebody: they stay down
        self._leaving: set[str] = set()  # are to be down before anything is started
        self._asked: str | None = None  # the one of them that was told so
        self._due: set[str] = set()
        self._counted: list[tuple[float, ChildDown]] = []
        self._last_cause: Hashable = None

    def added(self, name: str) -> None:
        """A child of this name is a new one: the last in the order."""
        self._order.pop(name, None)

    def started(self, name: str, restart: Restart) -> None:
        """A process was started for it."""
        self._order[name] = restart
        self._up.add(name)
        self._due.discard(name)
        self._resigned.discard(name)

    def resigned(self, name: str) -> None:
        """Somebody asked it to stop, or to stay down: nothing but a new start brings it back."""
        self._due.discard(name)
        if name in self._up:
            self._resigned.add(name)

    def ended(self, down: ChildDown, now: float, cause: Hashable = None) -> list[Command]:
        """Its process is reaped. Deaths in a row that have a `cause` in common count as one."""
        name = down.name
        self._up.discard(name)
        if name in self._leaving or name in self._resigned:  # however it ended: it was to be down
            self._leaving.discard(name)
            self._resigned.discard(name)
            return self._next()
        if not wanted(self._order[name], down.exit_code):
            return []
        return self._again(down, now, cause)

    def not_started(self, down: ChildDown, problem: str, now: float) -> list[Command]:
        """The system refused to start it again: one more death, after the one it is `down` of."""
        self._due.discard(down.name)
        return self._again(down, now, None, f"could not be started ({problem})")

    def due(self) -> tuple[str, ...]:
        """Who is to be started now, in this order; nobody while somebody is still to go."""
        return () if self._leaving else tuple(name for name in self._order if name in self._due)

    def spend(self, down: ChildDown, now: float, cause: Hashable = None, what: str = "died") -> GaveUp | None:
        """Count a restart; where the intensity is spent, why there is none."""
        if cause is not None and cause is self._last_cause:
            return None
        times = self._intensity.recent([then for then, _ in self._counted], now)
        del self._counted[: len(self._counted) - len(times)]
        if self._intensity.allowed(times, now):
            self._counted.append((now, down))
            self._last_cause = self._last_cause if cause is None else cause
            return None
        reason = (
            f"{down.name} {what} after {len(times)} restarts in the last {self._intensity.within_seconds:g} s; "
            f"no more than {self._intensity.max_restarts} are allowed"
        )
        return GaveUp(down.name, reason, [*(exit_ for _, exit_ in self._counted), down])

    def _again(self, down: ChildDown, now: float, cause: Hashable, what: str = "died") -> list[Command]:
        given_up = self.spend(down, now, cause, what)
        rest = self._rest(down.name)
        self._leaving |= rest & self._up
        if given_up is not None:
            self._due -= rest  # what stands on a child that stays down is of no use
            return [given_up, *self._next()]
        again = rest & self._leaving - self._resigned
        self._due |= {down.name} | {name for name in again if self._order[name] != "temporary"}
        return self._next()

    def _rest(self, name: str) -> set[str]:
        names = list(self._order)
        return set(names[names.index(name) + 1 :]) if self._strategy == "rest_for_one" else set()

    def _next(self) -> list[Command]:
        """One at a time, the last first; when all are down, those that are due."""
        if self._leaving:
            last = [name for name in self._order if name in self._leaving][-1]
            if last == self._asked:
                return []
            self._asked = last
            return [Stop(last)]
        self._asked = None
        return [StartDue()] if self._due else []
