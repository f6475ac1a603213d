"""Lines on stderr, each with the run and the role it comes from: for people, or as JSON for programs.

Children's lines arrive in the thread that also carries their frames, which must not wait for a slow terminal: they are
kept until the main thread comes by.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from elspeth.cli import output
from elspeth.cli.view.output_limit import OutputLimit
from elspeth.concealment import NOTHING, Concealment
from elspeth.visible import visible_json

MAIN = "main"
KEPT_LINES = 100_000
"""More lines than this cannot wait for a reader of stderr that is asleep; the oldest go, and it is said how many."""


class Log:
    """Words lines and prints them; `write` takes over while something else, a progress display, owns the terminal.

    What children print is bounded in each second, and shown without the credentials that `concealment` knows.
    """

    def __init__(
        self,
        log_format: str,
        run_id: str | None = None,
        concealment: Concealment = NOTHING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run_id = run_id
        self._concealment = concealment
        self._clock = clock
        self._limit = OutputLimit()
        self.write: Callable[[str], None] = output.message
        self.for_people = log_format != "json"
        self._waiting: deque[tuple[str, str, str]] = deque(maxlen=KEPT_LINES)
        self._arrived = 0
        self._shown = 0

    def from_child(self, child: str, line: str) -> None:
        """A child has printed this line. May be called in any thread; never waits."""
        if not self._limit.admit(child, len(line), self._clock()):
            return
        self._arrived += 1
        self._waiting.append((_now(), child, line))

    def flush(self, *, end: bool = False) -> None:
        """Print the children's lines that have arrived; at the `end` of all of them. In the main thread only."""
        while self._waiting:
            at, child, line = self._waiting.popleft()
            self._shown += 1
            self._print(at, child, "info", self._concealment.text(line), child=True)
        lost = self._arrived - self._shown
        if lost > 0 and not self._waiting:
            self._shown += lost
            self.notify(f"{lost:,} lines of children were not shown: stderr did not take them", "warning")
        for child, left_out in self._limit.overdue(self._clock(), end=end):
            self.notify(f"{child}: {output.count(left_out, 'more line')} of what it printed not shown", "warning")

    def notify(self, message: str, level: str = "info", /, **facts: object) -> None:
        """A line of the main process. `facts` are added where lines are for programs."""
        self._print(_now(), MAIN, level, message, facts=facts)

    def _print(
        self,
        at: str,
        role: str,
        level: str,
        message: str,
        *,
        child: bool = False,
        facts: dict[str, object] | None = None,
    ) -> None:
        if not self.for_people:
            line: dict[str, object] = {
                "at": at,
                "run_id": self.run_id,
                "role": role,
                "level": level,
                "message": message,
            }
            if child:
                line |= _parsed(message)
            self.write(visible_json(json.dumps(line | (facts or {}), ensure_ascii=False, default=str)))
        elif child:
            self.write(f"{self.run_id} {role}: {message}")
        else:
            self.write(message)


def _parsed(line: str) -> dict[str, object]:
    """What a child's line says of itself, if it is a log line in JSON already."""
    if not line.startswith("{"):
        return {}
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return {key: value[key] for key in ("at", "level", "message") if key in value} if "message" in value else {}


def _now() -> str:
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
