"""What a plugin may know of the run in which it is called: the last argument of its methods."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Context:
    """What a plugin may know of the run, instead of taking it from the world.

    `random` is seeded from run, node and row: a replay sees the same numbers. `now` is the time the row was read
    (ISO 8601, UTC; of a batch, its last row), kept when a process is restarted; a row that no commit holds is read
    again when the run is resumed. `takes_refused` tells a sink that rows which a source refused come to it as well
    as others: those have the fields `REFUSED` beside their own. `evidence` names the fields that only refused rows
    have where rows of several kinds come to one sink, and `ERROR_FIELDS` wherever steps send what they refuse.
    `fields` are those that the rows of a sink will have, in order, where that is known before the first one comes;
    `unlike` those that only some have, because steps refused rows of several shapes.
    `keeps_replaced` tells a sink that the file whose place its output takes is nobody's work on record: it is copied.
    `idempotency_key` is the same for every try at the same row. Call `progress()` in long work: a node that calls it
    is slow, not hung.
    """

    run_id: str
    node_id: str
    token_id: str = ""
    now: str = ""
    attempt: int = 1
    state_directory: Path = Path("state")
    headers: dict[str, str] = field(default_factory=dict)
    takes_refused: bool = False
    evidence: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    keeps_replaced: bool = False
    _beat: Any = None
    _prove: Any = None
    _random: random.Random | None = None
    _random_of: tuple[str, int] = ("", 0)

    @property
    def random(self) -> random.Random:
        """A generator seeded from the run, the node and the row: the same numbers in every replay of this row.

        While one row is worked on it goes on; every try at the row, and every batch, begins it anew.
        """
        wanted = (self.token_id, self.attempt)
        if self._random is None or self._random_of != wanted:
            self._random = random.Random(f"{self.run_id}/{self.node_id}/{self.token_id}")
            self._random_of = wanted
        return self._random

    @property
    def idempotency_key(self) -> str:
        """A key for this row at this node, the same in every try: hand it to services that accept one."""
        return f"{self.token_id}/{self.node_id}"

    def prove(self) -> None:
        """For sinks, between taking the lock on an output and changing it: raise `TakenOver` if the run is not ours."""
        if self._prove is not None:
            self._prove()

    def progress(self) -> None:
        """Say that work on the current row goes on, so that it is not taken for a hang."""
        if self._beat is not None:
            self._beat()
