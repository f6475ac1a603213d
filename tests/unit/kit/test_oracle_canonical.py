"""The checker's canonical JSON agrees with the published reference implementation."""

from __future__ import annotations

import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.oracle.canonical import dumps

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | _TEXT
    | st.floats(allow_nan=False, allow_infinity=False)
)
_VALUE = st.recursive(_LEAF, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=8)


@given(_VALUE)
def test_the_bytes_are_those_of_the_reference_implementation(value: object) -> None:
    assert dumps(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [1e21, 1e-7, 1e-6, 123456789012345680000.0, 5e-324, -0.0, 0.1, 1e22, 1.5e300])
def test_numbers_at_the_edges_of_notation_agree(value: float) -> None:
    assert dumps([value]).encode() == rfc8785.dumps([value])


def test_integers_beyond_the_exact_range_keep_every_digit() -> None:
    assert dumps({"id": 2**80}) == '{"id":' + str(2**80) + "}"


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        dumps([math.nan])
