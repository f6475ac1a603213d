from __future__ import annotations

import pytest

from actors.strategy import RestartIntensity, wanted


def test_as_many_restarts_as_allowed_are_allowed() -> None:
    intensity = RestartIntensity(3, 60.0)
    assert intensity.allowed([], 100.0)
    assert intensity.allowed([100.0, 100.0], 100.0)


def test_one_more_is_not() -> None:
    assert not RestartIntensity(3, 60.0).allowed([90.0, 95.0, 100.0], 101.0)


def test_a_restart_counts_to_the_end_of_the_period_and_not_longer() -> None:
    intensity = RestartIntensity(1, 60.0)
    assert not intensity.allowed([40.0], 100.0)
    assert intensity.allowed([40.0], 100.001)


def test_zero_restarts_means_never() -> None:
    assert not RestartIntensity(0, 60.0).allowed([], 0.0)


@pytest.mark.parametrize(("restarts", "seconds", "field"), [(-1, 1.0, "max_restarts"), (1, 0.0, "within_seconds")])
def test_an_intensity_that_makes_no_sense_is_refused(restarts: int, seconds: float, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        RestartIntensity(restarts, seconds)


def test_permanent_always_temporary_never_transient_unless_it_ended_normally() -> None:
    ends = (0, 70, None)
    assert [wanted("permanent", end) for end in ends] == [True, True, True]
    assert [wanted("temporary", end) for end in ends] == [False, False, False]
    assert [wanted("transient", end) for end in ends] == [False, True, True]
