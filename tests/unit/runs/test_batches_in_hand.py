"""Which batches are suspected of having killed attempts, from what those left."""

from __future__ import annotations

import pytest
from msgspec import structs

from elspeth.audit.query.values import EventRecord
from elspeth.audit.store.attempts.caution_events import held_event, in_hand_event
from elspeth.roles.flush_mark import Flush, Held, Item, Output
from elspeth.runs.lifecycle.batches_in_hand import convicted, deaths_by_name, held_in_stages, open_suspects
from elspeth.runs.liveness.row_mark import Marked

ONE, OTHER = Flush("r.1@batch", "batch"), Flush("r.9@batch", "batch")
TOKEN = Item("r.1@batch/0002", "after")
WRITTEN = Output(TOKEN.token, "out")


def found(attempt: int, *held: Held) -> EventRecord:
    """What attempt `attempt` + 1 found of this one, as it puts it on record."""
    if held:
        batches = [(each.batch, each.node) for each in held if isinstance(each, Flush)]
        tokens = [structs.asdict(each) for each in held if not isinstance(each, Flush)]
        record = held_event("r", attempt + 1, attempt, batches=batches, tokens=tokens)
    else:
        record = in_hand_event("r", attempt + 1, attempt, 4)
    return EventRecord(str(record[0]), attempt + 1, None, str(record[3]), None, str(record[5]), "2026-01-01T00:00:00Z")


def test_each_attempt_that_died_in_its_flush_counts_once_and_a_row_in_hand_for_no_batch() -> None:
    events = [found(3, ONE), found(4), found(5, ONE, OTHER)]
    assert deaths_by_name(events, ran_out=set()) == ({ONE.batch: 2, OTHER.batch: 1}, frozenset())


def test_what_memory_had_to_do_with_is_no_batch_s_doing() -> None:
    assert deaths_by_name([found(3, ONE), found(4, ONE)], ran_out={3}) == ({ONE.batch: 1}, frozenset())


def test_a_token_counts_like_a_batch_and_is_known_to_be_one() -> None:
    events = [found(3, TOKEN), found(4, ONE, TOKEN)]
    assert deaths_by_name(events, ran_out=set()) == ({TOKEN.token: 2, ONE.batch: 1}, frozenset({TOKEN.token}))


def test_a_token_that_a_sink_had_is_another_suspect_than_the_token_on_its_way() -> None:
    events = [found(3, TOKEN), found(4, WRITTEN), found(5, WRITTEN)]
    names = {TOKEN.token, f"{TOKEN.token}>out"}
    assert deaths_by_name(events, ran_out=set()) == ({TOKEN.token: 1, WRITTEN.name: 2}, names)


@pytest.mark.parametrize(
    ("marked", "held"),
    [
        (None, ()),
        (Marked(True, 7), ()),
        (Marked(True, 7, held=(ONE,)), (ONE,)),
        (Marked(True, None, many=True, held=(ONE, OTHER)), (OTHER,)),  # the others may have died of any row
    ],
)
def test_while_many_rows_are_in_hand_only_a_suspect_is_blamed(marked: Marked | None, held: tuple[Held, ...]) -> None:
    assert held_in_stages(marked, {OTHER.batch: 1}) == held


def test_a_batch_that_came_through_after_all_is_suspected_no_more() -> None:
    deaths = {ONE.batch: 1}
    assert open_suspects(deaths, [ONE, OTHER], count=True, decided=lambda batch: batch == OTHER.batch) == {ONE.batch: 2}
    assert open_suspects(deaths, [ONE], count=False, decided=lambda batch: False) == {ONE.batch: 1}


def test_it_is_convicted_after_as_many_deaths_as_a_row_is() -> None:
    verdicts = convicted({ONE.batch: 1, OTHER.batch: 2}, 2)
    assert list(verdicts) == [OTHER.batch]
    assert verdicts[OTHER.batch].attempts == 2
