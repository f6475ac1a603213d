"""What a replay came to, for people and for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from elspeth.cli import output
from elspeth.runs.replay.compare import Difference
from elspeth.runs.replay.replay import Replayed

SHOWN = 20


def value(found: Replayed) -> dict[str, Any]:
    """The result as plain data."""
    return {
        "run_id": found.run_id,
        "settings": str(found.settings) if found.settings else None,
        "same": found.same,
        "rows": found.rows,
        "answers_from_record": found.answers,
        "rows_that_differ": found.different,
        "differences": [dataclasses.asdict(each) for each in found.differences],
        "asked_anew": {
            "calls": sum(found.anew.values()),
            "by_node": [
                {"node": node, "provider": provider, "calls": count} for (node, provider), count in found.anew.items()
            ],
            "rows": found.anew_rows,
        },
        "taken_as_recorded": dict(found.as_recorded),
        "answers_not_kept": dict(found.not_kept),
        "order_compared": found.settings is None and not found.by_clock,
        "notes": found.notes,
    }


def lines(found: Replayed) -> Iterator[str]:
    """The result as lines."""
    new = found.settings is not None
    rows = output.count(found.rows, "row")
    for note in found.notes:
        yield f"Note: {note}"
    if found.different:
        word, style = ("Would change:", "yellow") if new else ("Differs:", "red")
        by = f" by {found.settings}" if new else ""
        yield f"{output.styled(word, style)} {found.different:,} of {rows} of run {found.run_id}{by}"
        for difference in found.differences[:SHOWN]:
            yield f"  {sentence(difference, new=new)}"
        if found.different > SHOWN:
            yield f"  and {found.different - SHOWN:,} more (--json lists them)"
    if found.anew:
        yield (
            f"{output.styled('Would be asked anew:', 'yellow')} {output.count(sum(found.anew.values()), 'call')} for"
            f" {output.count(len(found.anew_rows), 'row')}; nothing was asked"
        )
        for (node, provider), count in sorted(found.anew.items()):
            yield f"  {node} asks {provider}: {output.count(count, 'call')} with no answer on record"
        yield "  What follows these calls is shown as if the answers were those on record."
    if found.same:
        same = "would decide all of it as it was decided" if new else "is decided again as it is on record"
        answers = f", {output.count(found.answers, 'answer')} from the record" if found.answers else ""
        by = f"{found.settings}: " if new else ""
        yield f"{output.styled('Same:', 'green')} {by}run {found.run_id} {same}: {rows}{answers}"
    for node, count in sorted(found.as_recorded.items()):
        visits = output.count(count, "row or batch", "rows or batches")
        yield f"{node} is not deterministic, and what it asks is not on record: taken as recorded, {visits}"
    for node, count in sorted(found.not_kept.items()):
        yield f"{node} keeps no answers (record: hash or redact): taken as recorded, {output.count(count, 'call')}"
    if found.differences:
        yield f"Next: elspeth explain --run {found.run_id} --row {found.differences[0].row}"


def sentence(difference: Difference, *, new: bool) -> str:
    """One difference in words."""
    line = f" (line {difference.line})" if difference.line is not None else ""
    node = f", at {difference.node}" if difference.node is not None else ""
    what = difference.what if difference.field is None else f"{difference.what} {difference.field}"
    token = difference.token.partition("-")[2][9:]
    who = f"row {difference.row}{line}" + (f", token …{token}" if token else "")
    now = "then" if new else "now"
    return f"{who}{node}: {what}: {_shown(difference.on_record)} on record, {_shown(difference.replayed)} {now}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
