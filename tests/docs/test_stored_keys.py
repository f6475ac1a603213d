"""The keys of what is stored stand in one place: a checkpoint's in its type, a position's in the sink that wrote it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import msgspec
import pytest

from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition
from tests.docs.imports import MODULES, module_of
from tests.docs.repository import name_of, text_of

# Who else may take such a value apart, by the name of the module, and why.
POSITIONS_ARE_KNOWN_TO = re.compile(
    r"elspeth\.plugins\.sinks\.\w+"  # each wrote its own
    r"|elspeth\.outputs"  # reads what was stored before sinks could describe it
)
CHECKPOINTS_ARE_KNOWN_TO = re.compile(r"elspeth\.coordinator\.checkpoint")
COMMON = {"no", "rows", "sources", "sinks", "outcomes", "written"}
"""Words that are keys of other things as well."""


def read_by_key(text: str, value: str) -> Iterator[tuple[int, str]]:
    """Places in which something whose name holds `value` is asked for a literal key: `x["key"]`, `x.get("key")`."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Subscript(value=base, slice=ast.Constant(value=str(key))):
                pass
            case ast.Call(func=ast.Attribute(value=base, attr="get" | "pop"), args=[ast.Constant(value=str(key)), *_]):
                pass
            case _:
                continue
        if re.search(value, ast.unparse(base)):
            yield node.lineno, f"{ast.unparse(base)}[{key!r}]"


def found(value: str, allowed: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(file)}:{line} {what}"
        for file in MODULES
        if not allowed.fullmatch(module_of(file))
        for line, what in read_by_key(text_of(file), value)
    ]


def test_nobody_but_its_type_reads_a_checkpoint_by_key() -> None:
    assert found("checkpoint|source_position|stage_state", CHECKPOINTS_ARE_KNOWN_TO) == []


def test_nobody_but_the_sink_that_wrote_it_reads_a_position_by_key() -> None:
    assert found("position", POSITIONS_ARE_KNOWN_TO) == []


@pytest.mark.parametrize("stored", [Checkpoint, SourcePosition])
def test_a_stored_key_that_the_code_has_another_name_for_stands_nowhere_else(stored: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(stored)
    renamed = {field.encode_name for field in fields if field.encode_name != field.name} - COMMON
    texts = {file: ast.walk(ast.parse(text_of(file))) for file in MODULES}
    places = [
        f"{name_of(file)}:{node.lineno} {node.value!r}"
        for file, nodes in texts.items()
        if not CHECKPOINTS_ARE_KNOWN_TO.fullmatch(module_of(file))
        for node in nodes
        if isinstance(node, ast.Constant) and node.value in renamed
    ]
    assert places == []


def test_reading_by_key_is_seen() -> None:
    text = 'a = checkpoint["no"]\nb = self.position.get("size", 0)\nc = other["no"]\nd = positions[name]\n'
    seen = [what for _, what in read_by_key(text, "checkpoint|position")]
    assert seen == ["checkpoint['no']", "self.position['size']"]
