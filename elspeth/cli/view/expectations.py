"""What can be said before a run about its rows and its records: names of fields, and the audit trail's size."""

from __future__ import annotations

from elspeth.cli import output
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.views.audit_size import estimate

MOST_FIELDS = 40
"""So many fields of a source are named; a file with more is looked at in another program."""


def field_lines(pipeline: Pipeline) -> list[str]:
    """A line for each source with a header: what its columns are called in rows, where that is another name."""
    lines = []
    for source, header in pipeline.headers_by_source().items():
        names = [name if name == written else f"{written!r} -> {name}" for name, written in header.items()]
        more = f" and {len(names) - MOST_FIELDS:,} more" if len(names) > MOST_FIELDS else ""
        lines.append(f"Fields of {source}: {', '.join(names[:MOST_FIELDS])}{more}")
    return lines


def audit_line(size: int | None) -> str:
    """The audit trail's size, or why there is none to be said."""
    if size is None:
        return "its size cannot be told: an input does not say how large it is"
    return f"about {output.size(size)} (an estimate from the inputs' sizes and the steps)"


def audit_size(pipeline: Pipeline) -> int | None:
    """Bytes that the run will add to the audit trail, about; None where an input's size is unknown or unseen."""
    if len(pipeline.sources) < len(pipeline.graph.of_kind("source")):
        return None
    return estimate(pipeline.graph, pipeline.sources)
