"""What every source promises about cursors and proofs, in one check."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from elspeth.plugins.contract import Invalid, Row, Source
from elspeth.plugins.sources.hashed_file import HashedFile

Item = Row | Invalid
Make = Callable[[], Source]


def read_all(make: Make, cursor: Any = None, proof: str | None = None) -> list[tuple[Item, Any, str | None]]:
    """Everything a fresh source yields, with the proof at each row; the proof given is checked first."""
    source = make()
    if proof is not None:
        source.check(cursor, proof)
    items = [(item, json.loads(json.dumps(at)), source.proof()) for item, at in source.read(cursor)]
    assert not items or source.proof() == items[-1][2], "the proof after the end is that of the last row"
    source.teardown()
    return items


def check_resumable(make: Make) -> list[Item]:
    """Assert that reading goes on after every cursor as if it had never stopped; answers the rows."""
    whole = read_all(make)
    size = make().describe().size_bytes
    previous = -1
    for k, (_, cursor, proof) in enumerate(whole):
        assert read_all(make, cursor, proof) == whole[k + 1 :], f"resumed after row {k}, checked"
        assert read_all(make, cursor) == whole[k + 1 :], f"resumed after row {k}, unchecked"
        offset = make().offset(cursor)
        if offset is not None and size is not None:
            assert previous < offset <= size or whole[k][1][-1] == "end"
            previous = offset
    return [item for item, _, _ in whole]


@contextmanager
def most_held() -> Iterator[list[int]]:
    """Collects, at each block read, how many bytes were read and not given up."""
    held: list[int] = []
    block = HashedFile.block

    def counted(self: HashedFile) -> bytes:
        found = block(self)
        held.append(sum(map(len, self._held)))
        return found

    with patch.object(HashedFile, "block", counted):
        yield held
