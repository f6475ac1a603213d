"""What is not a row's fault is not booked on it: our limits and our mistakes end the run, by name."""

from __future__ import annotations

import errno

import pytest

from actors.channel import FrameRefused
from elspeth import canonical
from elspeth.errors import ElspethError, Temporary
from elspeth.plugins.contract import Row
from elspeth.roles.role import ours
from elspeth.roles.stage import StageRole
from elspeth.roles.worker import WorkerRole
from tests.kit.pipelines.single_steps import StepsUnderTest, token

GATE = """{name: g%d, condition: "row['n'] >= 0", routes: {"true": continue, "false": out}}"""


def test_both_roles_that_decide_rows_hold_their_own_mistakes_against_no_row() -> None:
    assert WorkerRole.decides
    assert StageRole.decides


@pytest.mark.parametrize("error", [FrameRefused("a message of 65537 parts"), RecursionError("too deep")])
def test_a_limit_that_was_reached_is_named(error: Exception) -> None:
    said = ours(error)
    assert "a limit of Elspeth" in said.message
    assert str(error) in said.message
    assert said.exit_code == 1


def test_what_the_system_refuses_is_to_be_mended_and_resumed() -> None:
    said = ours(OSError(errno.ENOSPC, "No space left on device", "state/payloads/ab"))
    assert isinstance(said, Temporary)
    assert said.message == "No space left on device: state/payloads/ab"


def test_a_bug_is_called_one_with_its_place() -> None:
    try:
        raise KeyError("gone")
    except KeyError as error:
        said = ours(error)
    assert type(said) is ElspethError
    assert said.message == "internal error, which is no row's fault: KeyError: 'gone'"
    assert "test_limits_of_ours.py, line" in said.details[0]


@pytest.mark.parametrize("gates", [500, 1200])
def test_a_row_passes_as_many_gates_as_there_are(gates: int) -> None:
    steps = ", ".join(GATE % number for number in range(gates))
    run = StepsUnderTest(f"""
        source: {{plugin: "null", on_validation_failure: discard}}
        gates: [{steps}]
        sinks: {{out: {{plugin: "null"}}}}
        default_sink: out
    """)
    run.feed({"n": 1})
    assert run.ends == {token(0): ("completed", "out")}


def nested(levels: int) -> Row:
    row: Row = {"v": 1}
    for _ in range(levels - 1):
        row = {"v": row}
    return row


def test_rows_may_be_nested_so_deep_and_no_deeper_whoever_writes_them() -> None:
    deepest, deeper = nested(canonical.MAX_DEPTH), nested(canonical.MAX_DEPTH + 1)
    assert canonical.dumps(deepest) == canonical.reference(deepest) == canonical.to_text(deepest).encode()
    for write in (canonical.dumps, canonical.reference, canonical.to_text):
        with pytest.raises(ValueError, match="more than 200 levels"):
            write(deeper)


def test_a_row_that_a_step_makes_too_deep_fails_alone() -> None:
    run = StepsUnderTest(
        """
        source: {plugin: "null", on_validation_failure: discard}
        transforms: [{name: t, plugin: passthrough, on_error: errors}]
        sinks: {out: {plugin: "null"}, errors: {plugin: "null"}}
        default_sink: out
        """,
        t=lambda row, ctx: nested(5000) if row["n"] == 1 else row,
    )
    run.feed({"n": 0}, {"n": 1}, {"n": 2})
    assert [run.ends[token(n)] for n in range(3)] == [
        ("completed", "out"),
        ("quarantined", "errors"),
        ("completed", "out"),
    ]
