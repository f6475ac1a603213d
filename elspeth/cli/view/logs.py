"""Lines on stderr, each with the run and the role it comes from: for people, or as JSON for programs.

Children's lines arrive in the thread that also carries their frames, which must not wait for a slow terminal: they are
kept until the main thread comes by.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from elspeth.cli import output

MAIN = "main"
KEPT_LINES = 100_000
"""More lines than this cannot wait for a reader of stderr that is asleep; the oldest go, and it is said how many."""


class Log:
    """Words lines and prints them; `write` takes over while something else, a progress display, owns the terminal."""

    def __init__(self, log_format: str, run_id: str | None = None) -> None:
        self.run_id = run_id
        self.write: Callable[[str], None] = output.message
        self.for_people = log_format != "json"
        self._waiting: deque[tuple[str, str, str]] = deque(maxlen=KEPT_LINES)
        self._arrived = 0
        self._shown = 0

    def from_child(self, child: str, line: str) -> None:
        """A child has printed this line. May be called in any thread; never waits."""
        self._arrived += 1
        self._waiting.append((_now(), child, line))

    def flush(self) -> None:
        """Print the children's lines that have arrived. In the main thread only."""
        while self._waiting:
            at, child, line = self._waiting.popleft()
            self._shown += 1
            self._print(at, child, "info", line, child=True)
        lost = self._arrived - self._shown
        if lost > 0 and not self._waiting:
            self._shown += lost
            self.say(f"{lost:,} lines of children were not shown: stderr did not take them", "warning")

    def say(self, message: str, level: str = "info", /, **facts: object) -> None:
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
            self.write(json.dumps(line | (facts or {}), ensure_ascii=False, default=str))
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
