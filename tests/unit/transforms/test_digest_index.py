"""The compact set of keys agrees with a plain dictionary, whatever is added in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elspeth.plugins.references.digest_index import DigestIndex, digest_of


@given(st.lists(st.text(max_size=3) | st.integers(0, 3000).map(str), max_size=3000))
def test_every_key_is_found_at_the_place_where_it_was_added_first(keys: list[str]) -> None:
    index, plain = DigestIndex(), dict[str, int]()
    for key in keys:
        assert index.find(digest_of(key)) == plain.get(key, -1)
        assert index.add(digest_of(key)) == plain.get(key, -1)
        plain.setdefault(key, len(plain))
    assert len(index) == len(plain)


def test_it_grows_past_its_first_sizes_and_forgets_nothing() -> None:
    index = DigestIndex()
    for number in range(10_000):
        assert index.add(digest_of(str(number))) == -1
    assert [index.find(digest_of(str(number))) for number in range(10_000)] == list(range(10_000))
    assert index.find(digest_of("10000")) == -1


def test_digests_that_begin_alike_are_told_apart() -> None:
    index = DigestIndex()
    for last in range(2000):
        assert index.add(bytes(8) + last.to_bytes(8)) == -1
    assert [index.find(bytes(8) + last.to_bytes(8)) for last in range(2000)] == list(range(2000))
