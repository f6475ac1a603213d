"""A run under way in a few lines that fit: the same from within the run and from another terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from elspeth.cli import output
from elspeth.cli.view.rate import percent
from elspeth.visible import visible

WIDE, LONG_BAR, SHORT_BAR = 100, 24, 10
WAITING_LINES = 2


@dataclass(frozen=True, slots=True)
class Sight:
    """What there is to see: all of it committed. Of `size` bytes of input `offset` are; `seconds` is how long the run
    has been driven, `left` how long it will be yet, as far as anybody can tell.
    """

    run_id: str
    rows: int
    seconds: float
    offset: int | None = None
    size: int | None = None
    rate: float | None = None
    left: float | None = None
    written: Mapping[str, int] = field(default_factory=dict)
    waiting: str = ""
    restarts: int = 0

    @property
    def percent(self) -> int | None:
        """Whole percents of the input."""
        return percent(self.offset, self.size)


def headline(sight: Sight, columns: int) -> str:
    """One line of at most so many columns: what matters least is left out first."""
    done = sight.percent
    bar = "" if done is None else _bar(done, LONG_BAR if columns >= WIDE else SHORT_BAR)
    parts = {
        "run": sight.run_id,
        "bar": bar,
        "percent": "" if done is None else f"{done} %",
        "rows": output.count(sight.rows, "row"),
        "rate": f"{sight.rate:,.0f} rows/s" if sight.rate else "",
        "elapsed": output.seconds(sight.seconds),
        "left": "" if sight.left is None else f"about {output.seconds(sight.left)} left",
    }
    for dropped in ("", "bar", "elapsed", "rate", "run"):
        parts.pop(dropped, None)
        line = "  ".join(part for part in parts.values() if part)
        if len(line) <= columns:
            return line
    return line[:columns]


def below(sight: Sight, columns: int) -> list[str]:
    """What stands under the headline: what the sinks have, what is waited for, restarts."""
    lines = []
    if sight.written:
        lines.append("  " + _fitting([f"{sink} {rows:,}" for sink, rows in sight.written.items()], columns - 2))
    if sight.waiting:
        found = output.wrapped(visible(sight.waiting), columns - 2)
        if len(found) > WAITING_LINES:
            found = [*found[: WAITING_LINES - 1], f"{found[WAITING_LINES - 1][: columns - 3]}…"]
        lines += [f"  {line}" for line in found]
    if sight.restarts:
        lines.append(f"  {output.count(sight.restarts, 'restart')} of children")
    return lines


def words(sight: Sight) -> str:
    """The same as one line of any length, for logs."""
    done = sight.percent
    parts = [output.count(sight.rows, "row") + (f" ({done} %)" if done is not None else "")]
    if sight.rate:
        parts.append(f"{sight.rate:,.0f} rows/s")
    parts.append(output.seconds(sight.seconds))
    if sight.left is not None:
        parts.append(f"about {output.seconds(sight.left)} left")
    written = ", ".join(f"{sink} {rows:,}" for sink, rows in sight.written.items())
    tail = [written, sight.waiting, output.count(sight.restarts, "restart") if sight.restarts else ""]
    return "; ".join([", ".join(parts), *filter(None, tail)])


def facts(sight: Sight) -> dict[str, object]:
    """The same as values, for programs."""
    return {
        "rows": sight.rows,
        "rows_per_second": None if sight.rate is None else round(sight.rate, 1),
        "percent": sight.percent,
        "seconds": round(sight.seconds, 1),
        "seconds_left": None if sight.left is None else round(sight.left, 1),
        "sinks": dict(sight.written),
        "waiting": sight.waiting or None,
        "restarts": sight.restarts,
    }


def _bar(done: int, width: int) -> str:
    filled = done * width // 100
    return f"[{'#' * filled}{'.' * (width - filled)}]"


def _fitting(parts: list[str], room: int) -> str:
    """The parts in one line, and how many there is no room for."""
    parts = [visible(part) for part in parts]
    for shown in range(len(parts), 0, -1):
        more = f", {len(parts) - shown:,} more" if shown < len(parts) else ""
        line = ", ".join(parts[:shown]) + more
        if len(line) <= room:
            return line
    return f"{parts[0][: max(room - 1, 1)]}…"
