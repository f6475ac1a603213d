"""The checkpoint: what is stored is what was stored before, and what only a newer Elspeth knows is refused."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from elspeth.calls.totals import CallTotals
from elspeth.coordinator import checkpoint
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition, counted, read_checkpoint, start_checkpoint
from elspeth.coordinator.tally import NodeTally, Tally
from elspeth.errors import EXIT_NEWER, ElspethError, NewerVersion

ID = "mf3k2a9x#000000007"
STORED = (
    '{"version":1,"no":7,"rows":60,"sources":{"main":{"cursor":{"line":62,"at":1.5},"proof":"ab","rows":60,'
    '"ended":false,"offset":900},"other":{"cursor":null,"proof":null,"rows":0,"ended":true,"offset":null}},'
    '"sinks":{"out":{"path":"out.csv","size":10,"sha256":"cd","rows":5,"other":[1,null]}},'
    '"stages":{"1":{"sum":{"batch":"b","count":3}}},"driven":12.25,"outcomes":{"completed":58,"quarantined":2},'
    '"written":{"out":58}}'
)
"""A checkpoint of version 1 as the databases of this version hold it, byte for byte."""


def changed(**fields: object) -> str:
    return json.dumps(json.loads(STORED) | fields)


def test_a_stored_checkpoint_is_read_by_the_names_of_the_code() -> None:
    found = read_checkpoint(STORED, ID)
    assert (found.micro_batch, found.row_count, found.active_seconds) == (7, 60, 12.25)
    assert found.source_positions["main"] == SourcePosition({"line": 62, "at": 1.5}, "ab", 60, False, 900)
    assert found.source_positions["other"].ended
    assert found.sink_positions["out"]["other"] == [1, None]
    assert found.stage_states == {1: {"sum": {"batch": "b", "count": 3}}}
    assert (found.outcome_counts, found.written_counts) == ({"completed": 58, "quarantined": 2}, {"out": 58})


def test_it_is_stored_again_byte_for_byte() -> None:
    assert read_checkpoint(STORED, ID).to_json() == STORED


def test_checkpoint_0_is_stored_byte_for_byte_as_it_always_was() -> None:
    assert start_checkpoint({"out": {"n": 0}}).to_json() == (
        '{"version":1,"no":0,"rows":0,"sources":{},"sinks":{"out":{"n":0}},"stages":{},"driven":0.0,"outcomes":{},'
        '"written":{}}'
    )


def test_it_crosses_processes_unchanged() -> None:
    found = read_checkpoint(STORED, ID)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Checkpoint) == found


CALLS = {"main": CallTotals(3, 2, 1, 70, 30, Decimal("0.125"))}


def test_a_checkpoint_of_version_2_with_calls_is_read_and_stored_as_it_was() -> None:
    found = msgspec.structs.replace(read_checkpoint(STORED, ID), version=2, call_totals=CALLS)
    stored = json.loads(found.to_json())
    assert stored["call_totals"]["main"]["cost"] == "0.125"
    assert "tally" not in stored
    assert read_checkpoint(found.to_json(), ID) == found


def test_version_3_has_the_tally_by_numbers_and_calls_where_there_were_any() -> None:
    tally = Tally({0: NodeTally(60, 2, 1_234_567, 90_001), 3: NodeTally(58)}, {1: 58}, 60)
    found = msgspec.structs.replace(read_checkpoint(STORED, ID), **counted({}, tally))
    stored = json.loads(found.to_json())
    assert (stored["version"], "call_totals" in stored) == (3, False)
    assert stored["tally"] == {
        "nodes": {"0": [60, 2, 1234567, 90001], "3": [58, 0, 0, 0]}, "edges": {"1": 58}, "tokens": 60
    }  # fmt: skip
    assert read_checkpoint(found.to_json(), ID) == found
    asked = msgspec.structs.replace(found, **counted(CALLS, tally))
    assert json.loads(asked.to_json())["call_totals"]["main"]["exchanges"] == 3
    assert read_checkpoint(asked.to_json(), ID) == asked


@pytest.mark.parametrize("version", [0, 4, 1000])
def test_an_unknown_version_is_refused_and_says_who_can_read_it(version: int) -> None:
    # Whatever else it holds: a newer one may name and order things in another way.
    with pytest.raises(NewerVersion) as refused:
        read_checkpoint(json.dumps({"version": version, "position": []}), ID)
    assert f"checkpoint {ID} is of version {version}: this Elspeth reads up to version 3" in refused.value.message
    assert (refused.value.exit_code, bool(refused.value.next_step)) == (EXIT_NEWER, True) == (13, True)


@pytest.mark.parametrize(
    "stored",
    ["", "[]", "{}", '{"version": "1"}', changed(no=None), changed(more=1), changed(sources={"main": {"more": 1}}),
     json.dumps({"version": 1, "no": 1, "rows": 1, "sinks": {}, "stages": {}})],
)  # fmt: skip
def test_what_no_elspeth_wrote_is_refused_and_never_half_read(stored: str) -> None:
    with pytest.raises(ElspethError, match=f"checkpoint {ID} cannot be read") as refused:
        read_checkpoint(stored, ID)
    assert refused.value.next_step == "elspeth verify mf3k2a9x"


def test_a_plugin_gets_back_what_it_said_or_hears_at_once_that_it_cannot() -> None:
    with pytest.raises(TypeError):
        start_checkpoint({"out": {"key": b"bytes"}}).to_json()


ROOMS = ("audit", "cli", "coordinator", "execution", "roles", "runs", "testing")
KEYS = {"no", "sources", "sinks", "stages", "driven", "cursor", "proof"}
"""Keys of a stored checkpoint that are no other value's keys."""


def looked_up(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every text that something is looked up by, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=ast.Constant(value=str(key))):
                yield key, node.lineno
            case ast.Call(
                func=ast.Attribute(attr="get" | "pop" | "setdefault"), args=[ast.Constant(value=str(key)), *_]
            ):
                yield key, node.lineno


def test_the_stored_keys_stand_in_one_module() -> None:
    package = Path(checkpoint.__file__).parents[1]
    files = [file for room in ROOMS for file in (package / room).rglob("*.py")]
    assert len(files) > 100
    found = [
        f"{file.relative_to(package)}:{line}: {key}"
        for file in files
        for key, line in looked_up(ast.parse(file.read_text()))
        if key in KEYS
    ]
    assert found == []
