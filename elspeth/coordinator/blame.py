"""Who is blamed for a process's death: why an item is suspected, and why it was set aside."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from elspeth.canonical import JsonObject


class Suspicion(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How the process died that was touching an item; of earlier attempts only the `reason` is known.

    `detail` is the number of the node that had it, or of the micro-batch it was in; `signal` and `exit_code` say how
    the process ended. `memory`: for want of memory that no setting of ours bounds. A later attempt may have more of it,
    and begins without this suspicion.
    """

    reason: str
    detail: int | UnsetType = UNSET
    signal: str | UnsetType | None = UNSET
    exit_code: int | UnsetType | None = UNSET
    memory: bool = False

    @property
    def of_this_attempt(self) -> bool:
        """Whether a process of this attempt died on it."""
        return self.signal is not UNSET

    def convict(
        self, attempts: int, *, micro_batch: int | UnsetType = UNSET, stage: int | UnsetType = UNSET,
        place: int | UnsetType = UNSET,
    ) -> Conviction:  # fmt: skip
        """The verdict after so many deaths on it alone; the three others say where an item is found."""
        return Conviction(
            reason=self.reason, detail=self.detail, signal=self.signal, exit_code=self.exit_code, attempts=attempts,
            micro_batch=micro_batch, stage=stage, place=place,
        )  # fmt: skip

    def facts(self) -> JsonObject:
        """The suspicion as plain data, for the record: what is known, and nothing else."""
        return dict(msgspec.to_builtins(self))


class Conviction(Suspicion, frozen=True, omit_defaults=True, kw_only=True):
    """An item that is not run any more but set aside: `attempts` processes died on it alone.

    A row says where it is by itself; of an item only its `micro_batch` (stored as "unit"), the `stage` and its
    `place` there are known.
    """

    attempts: int
    micro_batch: int | UnsetType = msgspec.field(default=UNSET, name="unit")
    stage: int | UnsetType = UNSET
    place: int | UnsetType = UNSET
