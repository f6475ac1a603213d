"""What goes along with a child to another machine, read as it is sent: its files, then its argument."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from actors.spec import ChildSpec
from actors.wire import words

_READ_BYTES = 1 << 18


def contents(spec: ChildSpec) -> Iterator[tuple[int, bytes]]:
    """All of it, as bulk: (kind, data). Raises `OSError` on a file that cannot be read."""
    for given in spec.files:
        with Path(given.path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            yield words.FILE, words.text_of(words.File(given.name, given.sha256, size))
            left = size
            while left and (some := file.read(min(left, _READ_BYTES))):
                left -= len(some)
                yield words.CONTENT, some
            if left:
                raise OSError(0, "it got shorter while it was read", given.path)
    if spec.argument:
        yield words.ARGUMENT, spec.argument
    start = words.Start(
        spec.name, spec.target, spec.shutdown_seconds, spec.hang_seconds, spec.memory_limit_bytes, spec.expendable,
        spec.title,
    )  # fmt: skip
    yield words.START, words.text_of(start)
