"""Parts of records join to what the chain would digest had one process made them all."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import chain, pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.audit.chain import digests
from elspeth.audit.chain.records import Record, Records
from elspeth.audit.store.commits import record_frames
from elspeth.audit.store.commits.commit_records import PreparedCommit, prepared
from elspeth.audit.store.commits.record_frames import RecordFrames, TableRecords
from elspeth.audit.writer import AuditWriter
from elspeth.errors import DuplicateRow, ElspethError
from tests.kit.fixtures.sample_run import ATTEMPT, RUN_COLUMNS, beginning

NOW = "2026-01-01T00:00:00.000Z"
RUN = "mf3k2a9x"


def error(number: int, text: str | None = None) -> Record:
    """A record of `transform_errors`, which has a purgeable column."""
    return (f"{RUN}-{number:09d}!", f"{RUN}-{number:09d}", "step", text, None, NOW)


def parent(number: int, ordinal: int) -> Record:
    """A record of `token_parents`, whose key has two columns."""
    return (f"{RUN}-{number:09d}+m", f"{RUN}-{number:09d}.{9 - ordinal}", ordinal)


def odd(name: str) -> Record:
    """A record of `transform_errors` whose key holds whatever a name may hold, and more."""
    return (f"{RUN}-{name}", f"{RUN}-000000000", "step", name, None, NOW)


def sent(records: Records) -> RecordFrames:
    return record_frames.decode(record_frames.encode(records))


def held(batch: PreparedCommit) -> Records:
    """All records of a commit, in key order."""
    return {table: list(chain.from_iterable(found.in_order())) for table, found in batch.records.items()}


@pytest.mark.parametrize("at_once", [record_frames.AT_ONCE, 3])
@given(
    st.dictionaries(st.integers(0, 50), st.sampled_from([None, "", '{"reason":"é\\n"}']), min_size=1),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_however_records_are_spread_over_parts_their_digest_is_that_of_all(
    at_once: int, texts: dict[int, str | None], many: int, random: Random
) -> None:
    whole = [error(number, text) for number, text in sorted(texts.items())]
    spread: list[list[Record]] = [[] for _ in range(many)]
    for record in random.sample(whole, len(whole)):
        random.choice(spread).append(record)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(record_frames, "AT_ONCE", at_once)
        parts = [sent({"transform_errors": piece}).read["transform_errors"] for piece in spread if piece]
        joined = TableRecords("transform_errors", parts)
        assert sorted(chain.from_iterable(joined.pieces())) == whole
        assert list(chain.from_iterable(joined.in_order())) == whole
    assert digests.digest_lines("transform_errors", joined.count, joined.lines) == digests.digest_table(
        "transform_errors", whole
    )


@given(st.sets(st.text(alphabet='"\\\n\x00 !,aé\U0001f600', max_size=4), min_size=2), st.integers(1, 3))
def test_keys_of_any_text_are_put_in_order_as_the_database_has_them(names: set[str], stride: int) -> None:
    whole = sorted(odd(name) for name in names)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(record_frames, "AT_ONCE", 0)
        parts = [record_frames.part("transform_errors", some) for at in range(stride) if (some := whole[at::stride])]
        joined = TableRecords("transform_errors", parts)
    assert b"".join(lines.fixed for lines in joined.lines) == digests.lines_of("transform_errors", whole).fixed
    pairs = sorted(parent(at, ordinal) for at in range(len(names)) for ordinal in range(2))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(record_frames, "AT_ONCE", 0)
        joined = TableRecords("token_parents", [record_frames.part("token_parents", pairs[at::2]) for at in range(2)])
    assert b"".join(lines.fixed for lines in joined.lines) == digests.lines_of("token_parents", pairs).fixed


def test_parts_that_follow_each_other_keep_the_lines_they_came_with() -> None:
    made = [
        record_frames.part("transform_errors", [error(3)]),
        record_frames.part("transform_errors", [error(2), error(1)]),
    ]
    joined = TableRecords("transform_errors", made)
    assert [record[0] for piece in joined.pieces() for record in piece] == [error(number)[0] for number in (1, 2, 3)]
    assert joined.lines[0] is made[1].lines
    assert joined.lines[1] is made[0].lines


def test_only_parts_that_overlap_are_put_in_order_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [record_frames.part("transform_errors", [error(at), error(at + 2)]) for at in (0, 1, 5)]
    joined = TableRecords("transform_errors", parts)
    assert len(joined.lines) == 2
    assert joined.lines[1] is parts[2].lines
    assert [len(piece) for piece in joined.pieces()] == [4, 2]
    monkeypatch.setattr(record_frames, "AT_ONCE", 5)  # of so many in all, a part's at most are objects
    assert [len(piece) for piece in TableRecords("transform_errors", parts).pieces()] == [2, 2, 2]


def test_a_commit_holds_what_roles_sent_and_what_the_audit_process_adds() -> None:
    here: Records = {"transform_errors": [error(2, "b")], "token_parents": [parent(1, 0), parent(1, 1)]}
    came = [{"transform_errors": [error(3, "c"), error(1, "a")]}, {"token_parents": [parent(0, 0)]}]
    batch = prepared(RUN, here, [sent(records) for records in came])
    alone = prepared(
        RUN,
        {
            "transform_errors": [error(1, "a"), error(2, "b"), error(3, "c")],
            "token_parents": [parent(0, 0), parent(1, 0), parent(1, 1)],
        },
    )
    assert held(batch) == held(alone)
    assert batch.digests == alone.digests


def test_packed_parts_are_what_they_were() -> None:
    made: Records = {"transform_errors": [error(2, "b"), error(1, "a")], "token_parents": [parent(1, 0)]}
    loose, tight = (record_frames.decode(record_frames.encode(made, tight=packed)) for packed in (False, True))
    assert [frame.tight for frame in tight.read.values()] == [True, True]
    assert record_frames.records_in(record_frames.encode(made, tight=True)) == record_frames.records_in(
        record_frames.encode(made)
    )
    batches = prepared(RUN, {}, [loose]), prepared(RUN, {}, [tight])
    assert held(batches[0]) == held(batches[1])
    assert batches[0].digests == batches[1].digests


def test_a_packed_part_that_is_broken_is_refused() -> None:
    frame = record_frames.decode(record_frames.encode({"transform_errors": [error(1)]}, tight=True))
    broken = msgspec.structs.replace(frame.read["transform_errors"], encoded=msgspec.Raw(b"\xc4\x01x"))
    with pytest.raises(ElspethError, match="audit records came in a form that is none"):
        TableRecords("transform_errors", [broken])


def test_what_is_stored_in_another_form_is_let_go_of_once_it_is_digested_unless_it_is_to_last() -> None:
    outcome = (f"{RUN}-{1:09d}=", f"{RUN}-{1:09d}", "completed", 1, "out", 1, None, None, "2026-01-01T00:00:00.000Z")
    made: Records = {"token_outcomes": [outcome], "transform_errors": [error(1)]}
    kept, gone = sent(made), sent(made)
    lasting, passing = prepared(RUN, {}, [kept]), prepared(RUN, {}, [gone], lasting=False)
    assert lasting.digests == passing.digests
    assert [sorted(frames.read) for frames in (kept, gone)] == [
        ["token_outcomes", "transform_errors"],
        ["transform_errors"],
    ]
    assert list(passing.records["token_outcomes"].pieces()) == []
    assert held(lasting)["transform_errors"] == held(passing)["transform_errors"]
    assert passing.stored.keys() == lasting.stored.keys() == {"outcome_records"}


def test_a_record_of_another_run_is_refused_in_whichever_part_it_comes() -> None:
    foreign = (f"zzzzzzzz-{1:09d}!", *error(1)[1:])
    for parts in ([error(1)], [foreign]), ([foreign], [error(1)]), ([error(1), foreign], [error(2)]):
        with pytest.raises(ElspethError, match="zzzzzzzz-000000001! does not belong to run"):
            prepared(RUN, {}, [sent({"transform_errors": piece}) for piece in parts])


@pytest.fixture
def begun(tmp_path: Path) -> AuditWriter:
    writer = AuditWriter(tmp_path / "audit.db")
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    return writer


@pytest.mark.parametrize("wrong", [(1, "x"), ("x", 1.5)])
def test_a_record_that_does_not_fit_its_table_is_refused_and_nothing_of_its_commit_stays(
    wrong: tuple[object, object], begun: AuditWriter
) -> None:
    def count(table: str) -> int:
        return int(begun._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    before = count("commits")
    bad = (f"{RUN}-000000002+m", wrong[0], wrong[1])
    with pytest.raises(ElspethError, match=r"fit table token_parents|form that is none"):
        begun.commit(RUN, 1, {}, None, [sent({"token_parents": [parent(1, 0)]}), sent({"token_parents": [bad]})])
    assert (count("token_parents"), count("commits")) == (0, before)


@pytest.mark.parametrize("at_once", [record_frames.AT_ONCE, 3])
def test_a_record_that_comes_twice_is_named_however_many_there_are(
    at_once: int, begun: AuditWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_frames, "AT_ONCE", at_once)
    begun.commit(RUN, 1, {}, None, [sent({"transform_errors": [error(7)]})])
    twice = [sent({"transform_errors": [error(1), error(2), error(5)]}), sent({"transform_errors": [error(2)]})]
    with pytest.raises(DuplicateRow, match=f"{RUN}-000000002!"):
        begun.commit(RUN, 1, {}, None, twice)
    with pytest.raises(DuplicateRow, match=f"{RUN}-000000007!"):
        begun.commit(RUN, 1, {}, None, [sent({"transform_errors": [error(6), error(7)]})])


def test_more_or_fewer_records_than_were_announced_are_refused() -> None:
    frame = record_frames.part("token_parents", [parent(1, 0), parent(2, 0)])
    other = record_frames.part("token_parents", [parent(1, 0)])
    with pytest.raises(ElspethError, match="1 records of token_parents came, 2 were announced"):
        record_frames.records_of("token_parents", record_frames.msgspec.structs.replace(frame, encoded=other.encoded))


@pytest.mark.parametrize("stride", [1, 4], ids=["one behind the other", "overlapping"])
def test_a_large_commit_takes_little_more_than_what_came_for_it(
    stride: int, begun: AuditWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_frames, "AT_ONCE", 1000)
    size, many = 1000, 20
    numbers = (
        range(size * many) if stride == 1 else [at + lane for lane in range(many) for at in range(0, size * many, many)]
    )
    came = [numbers[start : start + size] for start in range(0, size * many, size)]
    bodies = [record_frames.encode({"transform_errors": [error(number, "{}") for number in some]}) for some in came]
    gc.collect()
    tracemalloc.start()
    try:
        frames = [record_frames.decode(body) for body in bodies]
        tracemalloc.reset_peak()
        begun.commit(RUN, 1, {}, None, frames)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    came_in = sum(map(len, bodies))
    assert peak < 3 * came_in, f"{peak:,} bytes for {came_in:,}"
    assert all(before[-1] < after[0] for before, after in pairwise(came)) == (stride == 1)
