from __future__ import annotations

from elspeth.cli.view.rate import RateMeter, percent


def test_the_rate_is_that_of_the_last_seconds() -> None:
    pace = RateMeter()
    for second in range(60):
        pace.see(second, 100 * second if second < 30 else 3000 + 10 * (second - 30), None)
    assert pace.rows_per_second == 10


def test_nobody_can_tell_from_one_look() -> None:
    pace = RateMeter()
    pace.see(0, 0, 0)
    assert pace.rows_per_second is None
    assert pace.seconds_left(100) is None


def test_the_time_left_follows_from_the_bytes_that_are_left() -> None:
    pace = RateMeter()
    pace.see(0, 0, None)
    pace.see(1, 10, 100)
    pace.see(2, 20, 300)
    assert pace.seconds_left(1300) == 5


def test_a_source_that_cannot_tell_its_size_has_no_time_left() -> None:
    pace = RateMeter()
    pace.see(0, 0, 0)
    pace.see(1, 10, 100)
    assert pace.seconds_left(None) is None


def test_many_looks_in_a_second_are_kept_as_few() -> None:
    pace = RateMeter()
    for look in range(10_000):
        pace.see(look / 1000, look, look)
    assert len(pace._samples) < 30
    assert pace.rows_per_second is not None
    assert 990 < pace.rows_per_second < 1010


def test_percents_are_whole_and_never_over_a_hundred() -> None:
    assert percent(199, 200) == 99
    assert percent(300, 200) == 100
    assert percent(0, 0) is None
    assert percent(None, 10) is None
