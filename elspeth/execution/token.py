"""A token: one row on its way through the graph, or one of the rows it became."""

from __future__ import annotations

from typing import Any

from elspeth import canonical
from elspeth.plugins.contract import Row

Fork = tuple[tuple[str, str], ...]
_NESTED = (dict, list)


class Token:
    """The unit of accountability: it has exactly one terminal outcome.

    `fork` is the way it came through forks, outermost first, as (parent token, branch). `step` counts the nodes it has
    passed. `data` is never changed in place. `read_at` is the time at which its row was read (ISO 8601, UTC).
    """

    __slots__ = ("_hash", "data", "fork", "id", "read_at", "row", "row_index", "step")

    def __init__(
        self, token_id: str, row: str, row_index: int, data: Row, fork: Fork = (), step: int = 0, digest: str = "",
        read_at: str = "",
    ) -> None:  # fmt: skip
        self.id = token_id
        self.row = row
        self.row_index = row_index
        self.data = data
        self.fork = fork
        self.step = step
        self.read_at = read_at
        self._hash = digest

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of the data, computed when it is first asked for."""
        if not self._hash:
            self._hash = canonical.sha256(self.data)
        return self._hash

    def become(self, data: Row, digest: str) -> None:
        """A node changed the row."""
        self.data = data
        self._hash = digest

    def child(self, token_id: str, data: Row, *, branch: str | None = None, digest: str = "") -> Token:
        """A token made of this one; with `branch`, one way of a fork."""
        fork = (*self.fork, (self.id, branch)) if branch is not None else self.fork
        return Token(token_id, self.row, self.row_index, data, fork, self.step, digest, self.read_at)

    @property
    def branch(self) -> str | None:
        """The branch of the innermost fork that the token is in."""
        return self.fork[-1][1] if self.fork else None


def copy_data(value: Any) -> Any:
    """A copy of plain data that shares nothing mutable with the original."""
    if isinstance(value, dict):
        copied = dict(value)
        for key, item in value.items():
            if isinstance(item, _NESTED):
                copied[key] = copy_data(item)
        return copied
    if isinstance(value, list):
        return [copy_data(item) for item in value]
    return value
