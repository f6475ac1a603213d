"""Errors cross processes as plain values, and end in the same exit code there."""

from __future__ import annotations

import pytest

from elspeth import errors
from elspeth.audit.connection import Lost
from elspeth.errors import ElspethError, from_value


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)
                                  and issubclass(kind, ElspethError)])  # fmt: skip
def test_an_error_arrives_as_what_it_was(kind: type[ElspethError]) -> None:
    found = from_value(kind("what", details=["a fact"], next_step="do").to_value())
    assert (type(found), found.message, found.details, found.next_step) == (kind, "what", ("a fact",), "do")


def test_a_kind_of_one_room_arrives_as_what_it_is_made_of() -> None:
    found = from_value(Lost("the connection was lost").to_value())
    assert (type(found), found.exit_code) == (errors.Temporary, errors.EXIT_TEMPORARY)


def test_what_another_release_calls_an_error_is_one() -> None:
    assert type(from_value({"kind": "New", "message": "", "details": [], "next_step": ""})) is ElspethError


def test_to_resume_is_said_by_the_command_to_type() -> None:
    for step in ("resume", "mend it, then resume"):
        assert errors.Temporary("what", next_step=step).then("elspeth resume x").next_step.endswith("elspeth resume x")
    assert errors.Temporary("what", next_step="resume").then("elspeth resume x").next_step == "elspeth resume x"
