"""What `deduplicate` holds of the rows it let through: the token that came first with each key, whatever its id."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elspeth.execution.deduplicate import _KeptFirst
from elspeth.plugins.references.digest_index import digest_of

IDS = st.builds(
    "{}-{:09d}{}".format,
    st.sampled_from(["2s2yp5uj", "a-b", ""]),
    st.integers(0, 2 * 10**9),
    st.sampled_from(["", ".left", ".left/0001", "/0000", ".x-000000001", "\n"]),
) | st.text(max_size=6)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), IDS)))
def test_a_duplicate_is_told_the_token_that_came_first_with_its_key(seen: list[tuple[str, str]]) -> None:
    kept, plain = _KeptFirst(), dict[str, str]()
    for key, token_id in seen:
        assert kept.add(digest_of(key), token_id) == plain.get(key)
        plain.setdefault(key, token_id)
