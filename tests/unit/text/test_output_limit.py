from __future__ import annotations

from elspeth.cli.view.output_limit import CHARACTERS_PER_SECOND, LINES_PER_SECOND, OutputLimit


def test_a_child_is_shown_so_many_lines_in_a_second_and_the_rest_is_counted() -> None:
    limit = OutputLimit()
    admitted = [limit.admit("worker-1", 10, now=5.0) for _ in range(LINES_PER_SECOND + 7)]
    assert admitted == [True] * LINES_PER_SECOND + [False] * 7
    assert limit.admit("worker-2", 10, now=5.0), "each child has its own"
    assert limit.overdue(5.9) == []
    assert limit.overdue(6.0) == [("worker-1", 7)]
    assert limit.admit("worker-1", 10, now=6.0), "the next second begins anew"
    assert limit.overdue(7.0) == []


def test_a_few_very_long_lines_are_too_many_too() -> None:
    limit = OutputLimit()
    assert limit.admit("sinks", CHARACTERS_PER_SECOND, now=0.0)
    assert not limit.admit("sinks", 1, now=0.5)
    assert limit.overdue(0.5, end=True) == [("sinks", 1)], "at the end nothing is left untold"


def test_what_was_left_out_is_told_before_the_child_is_shown_again() -> None:
    limit = OutputLimit()
    for _ in range(LINES_PER_SECOND + 1):
        limit.admit("source", 1, now=0.0)
    assert not limit.admit("source", 1, now=1.5), "a gap in the lines is never silent"
    assert limit.overdue(1.5) == [("source", 2)]
    assert limit.admit("source", 1, now=1.5)
