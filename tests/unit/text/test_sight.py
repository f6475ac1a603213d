"""The live line at the widths of terminals: what is committed, what is waited for, in lines that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from elspeth.cli.view.sight import LONG_BAR, SHORT_BAR, WIDE, Sight, below, facts, headline, words

FAST = Sight(
    "mf3k2a9x", 1_234_567, 83.0, offset=42_000, size=100_000, rate=14_873.4, left=114.0,
    written={"approved": 1_200_000, "review": 34_000, "refused": 567},
)  # fmt: skip
HUNG = replace(
    FAST, rate=0.0, left=None, restarts=2,
    waiting="no row finished for 14 s: worker-1 is at row 500 in ask_model (limit 300 s)",
)  # fmt: skip
MANY = replace(FAST, written={f"a_sink_with_a_long_name_{number}": 10**6 for number in range(20)})


def test_at_80_columns() -> None:
    assert headline(FAST, 80) == "mf3k2a9x  42 %  1,234,567 rows  14,873 rows/s  1 min 23 s  about 1 min 54 s left"
    assert below(FAST, 80) == ["  approved 1,200,000, review 34,000, refused 567"]


def test_at_120_columns_there_is_room_for_the_bar() -> None:
    bar = "[##########..............]"
    assert headline(FAST, 120) == (
        f"mf3k2a9x  {bar}  42 %  1,234,567 rows  14,873 rows/s  1 min 23 s  about 1 min 54 s left"
    )


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("sight", [FAST, HUNG, MANY, Sight("mf3k2a9x", 0, 0.0)])
def test_no_line_is_wider_than_the_terminal(sight: Sight, columns: int) -> None:
    lines = [headline(sight, columns), *below(sight, columns)]
    assert max(map(len, lines)) <= columns


def test_a_hung_row_and_restarts_are_said_below() -> None:
    assert below(HUNG, 80)[1:] == [
        "  no row finished for 14 s: worker-1 is at row 500 in ask_model (limit 300 s)", "  2 restarts of children",
    ]  # fmt: skip


def test_of_many_sinks_those_that_fit_are_named_and_the_others_counted() -> None:
    assert below(MANY, 80) == [
        "  a_sink_with_a_long_name_0 1,000,000, 19 more",
    ]
    assert below(MANY, 120)[0].endswith("a_sink_with_a_long_name_2 1,000,000, 17 more")


def test_controls_in_names_reach_no_terminal() -> None:
    assert "\x1b" not in "".join(below(replace(HUNG, waiting="\x1b[2J", written={"a\x1b[2J": 1}), 80))


def test_a_log_has_it_in_one_line_and_programs_have_values() -> None:
    assert words(HUNG) == (
        "1,234,567 rows (42 %), 1 min 23 s; approved 1,200,000, review 34,000, refused 567; no row finished for 14 s:"
        " worker-1 is at row 500 in ask_model (limit 300 s); 2 restarts"
    )
    assert facts(FAST)["seconds_left"] == 114.0
    assert facts(HUNG)["waiting"] == HUNG.waiting


def test_the_bar_is_the_long_one_from_a_width_on() -> None:
    assert WIDE == 100
    short = replace(FAST, rate=None, left=None)
    bars = [headline(short, columns).partition("[")[2].partition("]")[0] for columns in (WIDE - 1, WIDE)]
    assert [len(bar) for bar in bars] == [SHORT_BAR, LONG_BAR]
