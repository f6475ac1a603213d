"""The estimate of how long rows go one at a time."""

from __future__ import annotations

from elspeth.coordinator.suspicion.caution import Caution
from elspeth.coordinator.suspicion.single_rows import ENOUGH_ROWS, ENOUGH_SECONDS, SingleRows, announcement


def test_it_is_told_once_from_the_pace_of_the_first_rows() -> None:
    single = SingleRows(4000)
    assert single.look(0, 50.0) is None
    assert single.look(ENOUGH_ROWS - 1, 50.9) is None
    assert single.look(ENOUGH_ROWS, 51.0) == "one at a time, 100 rows a second: the 3,900 left take about 39 s"
    assert single.look(200, 52.0) is None


def test_where_rows_are_slow_it_does_not_wait_for_many() -> None:
    single = SingleRows(10)
    assert single.look(0, 0.0) is None
    assert single.look(1, ENOUGH_SECONDS - 0.1) is None
    assert single.look(0, ENOUGH_SECONDS) is None
    assert single.look(1, ENOUGH_SECONDS) == "one at a time, 0 rows a second: the 9 left take about 45 s"


def test_without_caution_and_behind_it_nothing_is_said() -> None:
    assert SingleRows(0).look(500, 10.0) is None
    single = SingleRows(50)
    assert single.look(0, 0.0) is None
    assert single.look(50, 9.0) is None


def test_what_begins_is_told_with_the_number_of_rows() -> None:
    assert "the next 4,000 rows go one at a time; then" in announcement(Caution(4000))
    assert "the next 80 rows go one at a time, each on record before it is touched; then" in announcement(
        Caution(80, recorded=True)
    )
