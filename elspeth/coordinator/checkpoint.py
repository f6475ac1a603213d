"""What a run continues from: the checkpoint as the code names it, and as it is stored.

Its keys stand here and nowhere else; a field may be added only with a new version, because an older Elspeth would drop
what it does not know and continue from the rest. Version 2 has `call_totals`, what calls came to. Of version 3 are all
but the first of a run: they have the `tally` of nodes and edges. One that follows another by a single row may leave it
out: it is that of the latest checkpoint that has one, and what is on record of the rows behind that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from elspeth.calls.totals import CallTotals
from elspeth.canonical import JsonObject
from elspeth.coordinator.tally import Tally
from elspeth.errors import ElspethError, NewerVersion

VERSION, WITH_CALLS, COUNTED = 1, 2, 3


class SourcePosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a source stands: behind its first `row_count` rows, at `cursor`, `offset` bytes into its input.

    `proof` is the digest of everything before the cursor, None where a source has none.
    """

    cursor: Any = None
    proof: str | None = None
    row_count: int = msgspec.field(default=0, name="rows")
    ended: bool = False
    offset: int | None = None


SINKS = "sinks"
"""The key under which a stored checkpoint says where its outputs stand, for whoever needs nothing else of it."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything up to micro-batch `micro_batch`, the first `row_count` rows of the input, is committed.

    A source that was not begun has no position yet. `sink_positions` and `stage_states` belong to the plugins: what a
    sink answered to its last flush, what an ordered stage (by its number) has to remember. `active_seconds` is how
    long the run has been driven; `outcome_counts` are tokens by outcome, `written_counts` rows by sink, `call_totals`
    what calls came to, by provider (not there if there were none), `tally` what went through nodes and edges.
    """

    version: int = VERSION
    micro_batch: int = msgspec.field(name="no")
    row_count: int = msgspec.field(name="rows")
    source_positions: dict[str, SourcePosition] = msgspec.field(name="sources")
    sink_positions: dict[str, JsonObject] = msgspec.field(name=SINKS)
    stage_states: dict[int, JsonObject] = msgspec.field(name="stages")
    active_seconds: float = msgspec.field(default=0.0, name="driven")
    outcome_counts: dict[str, int] = msgspec.field(default_factory=dict, name="outcomes")
    written_counts: dict[str, int] = msgspec.field(default_factory=dict, name="written")
    call_totals: dict[str, CallTotals] | UnsetType = UNSET
    tally: Tally | UnsetType = UNSET

    def to_json(self) -> str:
        """The checkpoint as it is stored."""
        return orjson.dumps(msgspec.to_builtins(self, builtin_types=_REFUSED, str_keys=True)).decode()


def counted(totals: dict[str, CallTotals], tally: Tally) -> dict[str, Any]:
    """What the fields of a checkpoint say of calls, nodes and edges."""
    fields: dict[str, Any] = {"version": COUNTED, "tally": tally}
    return fields | {"call_totals": totals} if totals else fields


class _Versioned(msgspec.Struct):
    version: int


_REFUSED = (bytes, bytearray, memoryview)
"""What msgspec would turn into text, and a plugin would get back as text: `orjson` refuses it."""

_version = msgspec.json.Decoder(_Versioned)
_checkpoint = msgspec.json.Decoder(Checkpoint)


def start_checkpoint(sink_positions: Mapping[str, JsonObject]) -> Checkpoint:
    """Checkpoint 0: nothing read, and every output at the position it was found in."""
    return Checkpoint(
        micro_batch=0, row_count=0, source_positions={}, sink_positions=dict(sink_positions), stage_states={}
    )


def read_checkpoint(stored: str, checkpoint_id: str) -> Checkpoint:
    """The checkpoint that is stored as this JSON.

    Raises `NewerVersion` where a later Elspeth wrote it, and `ElspethError` where no Elspeth did.
    """
    try:
        version = _version.decode(stored).version
        if version in (VERSION, WITH_CALLS, COUNTED):
            return _checkpoint.decode(stored)
    except msgspec.DecodeError as error:
        raise ElspethError(
            f"checkpoint {checkpoint_id} cannot be read: {error}",
            next_step=f"elspeth verify {checkpoint_id.partition('#')[0]}",
        ) from None
    raise NewerVersion(
        f"checkpoint {checkpoint_id} is of version {version}: this Elspeth reads up to version {COUNTED}",
        next_step="continue the run with the Elspeth that wrote it, or a later one",
    )
