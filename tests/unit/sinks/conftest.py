"""Sinks for the tests: made by name, as a process makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Sink

SinkMaker = Callable[..., Sink]


@pytest.fixture
def make_sink(tmp_path: Path) -> Any:
    """`make_sink("csv", delimiter=";")`: a new sink on the test's own file, set up; closed when the test ends."""
    made: list[Sink] = []

    def make(
        kind: str, name: str = "out", *, headers_found: dict[str, str] | None = None, fields: tuple[str, ...] = (),
        evidence: tuple[str, ...] = (),
        **options: Any,
    ) -> Sink:  # fmt: skip
        cls: Any = registry.find("sink", kind)
        sink: Sink = cls(cls.Options(**{"path": tmp_path / name, **options}))
        found = headers_found or {}
        state = tmp_path / "state"
        sink.setup(
            Context(run_id="r", node_id="out", state_directory=state, headers=found, fields=fields, evidence=evidence)
        )
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def written(tmp_path: Path, make_sink: SinkMaker) -> Callable[..., bytes]:
    """`written("csv", rows, option=...)`: the bytes of an output that got these rows and nothing else happened to."""

    def write(kind: str, rows: list[dict[str, Any]], name: str = "undisturbed", **options: Any) -> bytes:
        sink = make_sink(kind, name, **options)
        sink.open(sink.inspect())
        sink.write(rows)
        sink.finish()
        sink.close()
        return (tmp_path / name).read_bytes()

    return write
