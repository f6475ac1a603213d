"""A file that is not there ends the run, and no row is blamed for it; nothing else of what plugins raise does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elspeth.calls.errors import RunStops
from elspeth.plugins.contract import Context, Row, RowError, Transform
from elspeth.plugins.transforms.passthrough import Passthrough
from elspeth.roles.elsewhere.files import stop_at_missing_files

CONTEXT = Context("r", "n")


class Raising(Transform):
    """Does what it is given."""

    name = "raising"

    def process(self, row: Row, ctx: Context) -> Any:
        return row["do"]()


def read() -> Any:
    return Path("not/there").read_text()


def wrapped() -> Any:
    try:
        return read()
    except OSError as error:
        raise RowError("no words for this row") from error


def in_passing() -> Any:
    try:
        return read()
    except OSError:
        raise ValueError("oh") from None


def plugin() -> Raising:
    made = Raising(None)
    stop_at_missing_files(made, "words")
    return made


@pytest.mark.parametrize("do", [read, wrapped, in_passing])
def test_a_missing_file_stops_the_run_whatever_is_made_of_it(do: Any) -> None:
    with pytest.raises(RunStops) as caught:
        plugin().process({"do": do}, CONTEXT)
    assert caught.value.error.message == (
        "the plugin of words looks for the file not/there, which is not on the machine of its worker"
    )
    assert caught.value.error.exit_code == 2


def test_what_is_caught_inside_is_the_plugins_own() -> None:
    def tolerant() -> Any:
        try:
            return read()
        except OSError:
            return "none"

    assert plugin().process({"do": tolerant}, CONTEXT) == "none"


def test_other_errors_are_what_they_are() -> None:
    def refuse() -> Any:
        raise RowError("no")

    def deny() -> Any:
        raise PermissionError(13, "denied", "x")

    with pytest.raises(RowError):
        plugin().process({"do": refuse}, CONTEXT)
    with pytest.raises(PermissionError):
        plugin().process({"do": deny}, CONTEXT)


def test_our_own_plugins_are_left_as_they_are() -> None:
    ours = Passthrough(Passthrough.Options())
    stop_at_missing_files(ours, "n")
    assert "process" not in vars(ours)
