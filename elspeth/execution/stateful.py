"""What steps that hold tokens from row to row have in common: time, an end, and a state that is a reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from elspeth import canonical
from elspeth.execution.token import Token
from elspeth.graph.model import Node

StateReference = dict[str, Any]
"""What a checkpoint holds of such a step: some numbers and ids, the same size however many tokens wait."""


class BatchArchive(Protocol):
    """What the audit database knows of tokens that waited when it was last written."""

    def members(self, batch_id: str) -> list[tuple[str, str]]:
        """Token id and data of everybody in a batch, in the order of their arrival."""

    def each_member(self, batch_id: str, count: int) -> Iterator[tuple[str, str]]:
        """The first `count` members of a batch like `members`, but one after the other: there may be millions."""

    def waiting(self, node_id: str, first: str, last: str) -> list[tuple[str, str, str]]:
        """Pending join, token id and data of all who wait at a coalesce, for pending joins with ids in this range."""

    def decided(self, batch_id: str) -> bool:
        """Whether this batch or pending join is closed."""


class StatefulStep(Protocol):
    """A step of an ordered stage. `active_seconds`: how long the run was driven; `flushed`: a batch closed."""

    node: Node
    active_seconds: float
    flushed: bool

    def state(self) -> StateReference | None:
        """The reference from which `restore` brings back everything that waits; None where nothing ever did."""

    def restore(self, state: StateReference | None, archive: BatchArchive) -> None:
        """Return to a state. `archive` is what was recorded up to that moment."""

    def due(self) -> float | None:
        """The value of `active_seconds` at which something times out."""

    def tick(self) -> None:
        """Let time-outs that are due fire."""

    def end(self) -> None:
        """The input has ended: nothing waits any longer."""


def token_text(token: Token) -> str:
    """Everything needed to bring a waiting token back, as JSON."""
    return canonical.to_text(
        [token.row, token.row_index, token.step, [list(pair) for pair in token.fork], token.data, token.read_at]
    )


def token_of(token_id: str, text: str) -> Token:
    """The token that `token_text` described."""
    row, index, step, fork, data, read_at = canonical.from_text(text)
    return Token(
        token_id, row, index, data, tuple((parent, branch) for parent, branch in fork), step, read_at=read_at
    )  # fmt: skip
