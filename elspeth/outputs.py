"""What a checkpoint holds of a sink: a position that only the sink understands, and what it says of an output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Replaced:
    """The file that a new output takes the place of, as it was found: size in bytes, modification time in ns."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class OutputInfo:
    """What a position says of an output, for everybody who cannot know what a sink keeps in its positions.

    `path` is the file as the settings name it, `resolved` where that led; None where the output is no file. `size`
    (bytes) and `sha256` (hex) vouch for the file's beginning: they are None unless the first `size` bytes of the file
    have that hash, and whoever verifies holds the file against them. `rows` were written so far, and `replaces` is the
    file that this output overwrites, until its first byte is written.
    """

    path: str | None = None
    resolved: str | None = None
    size: int | None = None
    sha256: str | None = None
    rows: int = 0
    replaces: Replaced | None = None


@dataclass(frozen=True, slots=True)
class SinkState:
    """A sink's part of a checkpoint."""

    position: dict[str, Any]
    output: OutputInfo

    def to_value(self) -> dict[str, Any]:
        """As it is stored; JSON can hold it."""
        return {"position": self.position, "output": asdict(self.output)}

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> SinkState:
        """As it was stored."""
        if value.keys() != {"position", "output"}:
            return cls(dict(value), _before_positions_were_opaque(value))
        found = dict(value["output"])
        replaces = found.pop("replaces", None)
        return cls(value["position"], OutputInfo(**found, replaces=Replaced(**replaces) if replaces else None))


def sink_states(held: Mapping[str, Mapping[str, Any]]) -> dict[str, SinkState]:
    """What a checkpoint holds of each sink, by node id."""
    return {node_id: SinkState.from_value(value) for node_id, value in held.items()}


def _before_positions_were_opaque(position: Mapping[str, Any]) -> OutputInfo:
    """Older checkpoints hold the bare position, and what it says of a file is read from keys all sinks had to use."""
    if "path" not in position:
        return OutputInfo(rows=int(position.get("rows", 0)))
    replaces = (position.get("base") or {}).get("replaces")
    return OutputInfo(
        path=str(position["path"]),
        resolved=str(position.get("resolved") or position["path"]),
        size=position.get("size") if "sha256" in position else None,
        sha256=position.get("sha256"),
        rows=int(position.get("rows", 0)),
        replaces=Replaced(replaces["size"], replaces["mtime_ns"]) if replaces else None,
    )
