"""Parts of records join to what the chain would digest had one process made them all."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.audit.chain import digests
from elspeth.audit.chain.records import Record, Records
from elspeth.audit.store import record_frames
from elspeth.audit.store.commit_records import prepared
from elspeth.errors import ElspethError

NOW = "2026-01-01T00:00:00.000Z"
RUN = "abcd2345"


def error(number: int, text: str | None = None) -> Record:
    """A record of `transform_errors`, which has a purgeable column."""
    return (f"{RUN}-{number:09d}!", f"{RUN}-{number:09d}", "step", text, None, NOW)


def parent(number: int, ordinal: int) -> Record:
    """A record of `token_parents`, whose key has two columns."""
    return (f"{RUN}-{number:09d}+m", f"{RUN}-{number:09d}.{9 - ordinal}", ordinal)


@given(
    st.dictionaries(st.integers(0, 50), st.sampled_from([None, "", '{"reason":"é"}']), min_size=1), st.integers(1, 5),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_however_records_are_spread_over_parts_their_digest_is_that_of_all(
    texts: dict[int, str | None], many: int, random: Random
) -> None:
    whole = [error(number, text) for number, text in sorted(texts.items())]
    spread: list[list[Record]] = [[] for _ in range(many)]
    for record in random.sample(whole, len(whole)):
        random.choice(spread).append(record)
    sent = [
        record_frames.decode(record_frames.encode({"transform_errors": piece}))["transform_errors"]
        for piece in spread
        if piece
    ]
    records, lines = record_frames.join("transform_errors", sent)
    assert records == whole
    assert digests.digest_lines("transform_errors", len(whole), lines) == digests.digest_table(
        "transform_errors", whole
    )


def test_parts_that_follow_each_other_keep_the_lines_they_came_with() -> None:
    made = [
        record_frames.part("transform_errors", [error(2), error(1)]),
        record_frames.part("transform_errors", [error(3)]),
    ]
    records, lines = record_frames.join("transform_errors", made)
    assert [record[0] for record in records] == [error(number)[0] for number in (1, 2, 3)]
    assert lines == [part.lines for part in made]
    assert lines[0] is made[0].lines


def test_a_commit_holds_what_roles_sent_and_what_the_audit_process_adds() -> None:
    here: Records = {"transform_errors": [error(2, "b")], "token_parents": [parent(1, 0), parent(1, 1)]}
    sent = [{"transform_errors": [error(3, "c"), error(1, "a")]}, {"token_parents": [parent(0, 0)]}]
    batch = prepared(RUN, here, [record_frames.decode(record_frames.encode(records)) for records in sent])
    alone = prepared(
        RUN,
        {
            "transform_errors": [error(1, "a"), error(2, "b"), error(3, "c")],
            "token_parents": [parent(0, 0), parent(1, 0), parent(1, 1)],
        },
    )
    assert batch.records == alone.records
    assert batch.digests == alone.digests


@pytest.mark.parametrize("wrong", [(1, "x"), (None, 0), ("x", 1.5)])
def test_a_record_that_does_not_fit_its_table_is_refused_on_arrival(wrong: tuple[object, object]) -> None:
    with pytest.raises(ElspethError, match="does not fit its table"):
        record_frames.decode(record_frames.encode({"token_parents": [(wrong[0], f"{RUN}-000000000", wrong[1])]}))
