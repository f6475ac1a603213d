"""How large chunks become, and how much may be in flight."""

from __future__ import annotations

import pytest

from elspeth.coordinator.policy import GROWTH, WORK_SECONDS, ChunkSize, Policy, share


def test_an_unknown_speed_is_approached_from_below() -> None:
    size = ChunkSize(1, 1000)
    seen = []
    for _ in range(6):
        seen.append(size.rows)
        size.learn(size.rows, size.rows * 1e-6)
    assert seen == [1, GROWTH, GROWTH**2, GROWTH**3, GROWTH**4, 1000]


def test_slow_rows_go_one_at_a_time() -> None:
    size = ChunkSize(1, 1000)
    for _ in range(10):
        size.learn(100, 100.0)
    assert size.rows == 1
    assert size.slow()


def test_a_chunk_is_worth_about_the_time_it_is_meant_to_take() -> None:
    size = ChunkSize(1, 1000)
    for _ in range(20):
        size.learn(10, 10 * 0.001)
    assert size.rows == pytest.approx(WORK_SECONDS / 0.001, abs=1)
    assert not size.slow()


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("pool_size", [4, 5, 50, 301])
def test_workers_share_a_pool_and_none_of_it_is_lost(workers: int, pool_size: int) -> None:
    shares = [share(pool_size, number, workers) for number in range(workers)]
    assert sum(shares) == pool_size
    assert max(shares) - min(shares) <= 1
    assert Policy(pool_size=pool_size, workers=workers).pool_share() == max(shares)


def test_a_pool_is_given_enough_rows_to_be_busy_however_slow_they_are() -> None:
    policy = Policy(pool_size=50, workers=4)
    size = ChunkSize(policy.first_chunk(), policy.largest_chunk())
    assert size.rows == 3  # four of them, and each worker has its share in hand
    size.learn(3, 3 * 0.4 / policy.pool_share())
    assert size.rows <= 3
    assert policy.window_undecided() == 500
    assert policy.window_rows() >= 2 * policy.window_undecided()


def test_an_empty_piece_and_a_clock_that_stood_still_teach_nothing_wrong() -> None:
    size = ChunkSize(1, 1000)
    size.learn(0, 5.0)
    assert size.rows == 1
    size.learn(1, 0.0)
    assert size.rows == GROWTH


def test_a_chunk_is_no_larger_than_the_interval_of_commits() -> None:
    assert Policy("every_n", interval=10).largest_chunk() == 10
    assert Policy("every_row", interval=10).largest_chunk() == 1000


def test_a_frequency_is_the_latest_moment_and_other_bounds_hold_all_the_same() -> None:
    assert Policy("every_n", interval=50_000).commit_rows() == Policy().max_rows
    assert Policy("aggregation_only", max_rows=77).commit_rows() == 77


@pytest.mark.parametrize("frequency", ["every_row", "every_n", "aggregation_only"])
def test_there_is_room_to_read_on_while_a_commit_is_under_way(frequency: str) -> None:
    policy = Policy(frequency)  # type: ignore[arg-type]
    assert policy.window_rows() >= 2 * policy.commit_rows()
    assert policy.window_rows() >= 4 * policy.largest_chunk()
