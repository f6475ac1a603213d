"""The form of a signature: who checks one elsewhere, or in ten years, computes it from what the evidence page says."""

from __future__ import annotations

import hashlib

import pytest

from elspeth.audit.chain.signing import is_signed, signature

KEY, RUN, DIGEST = b"a key", "mf3k2a9x", hashlib.sha256(b"x").hexdigest()

BY_ANOTHER = "61b3afb2226871fcb49fe3f266e8e1f149485e4f4196ba573568a343e8b74571"
"""printf 'mf3k2a9x/7/%s' "$(printf x | sha256sum | cut -d' ' -f1)" | openssl dgst -sha256 -hmac 'a key'"""


def test_it_is_what_another_program_computes() -> None:
    assert signature(KEY, RUN, 7, DIGEST) == BY_ANOTHER
    assert is_signed(BY_ANOTHER, KEY, RUN, 7, DIGEST)


@pytest.mark.parametrize(
    ("key", "run", "number", "digest"),
    [
        (b"another", RUN, 7, DIGEST),
        (KEY, "mf3k2a9y", 7, DIGEST),
        (KEY, RUN, 8, DIGEST),
        (KEY, RUN, 7, hashlib.sha256(b"y").hexdigest()),
    ],
    ids=["key", "run", "number", "digest"],
)
def test_it_is_of_this_commit_of_this_run_with_this_key_alone(key: bytes, run: str, number: int, digest: str) -> None:
    assert not is_signed(BY_ANOTHER, key, run, number, digest)


@pytest.mark.parametrize("found", [None, "", BY_ANOTHER[:-1], BY_ANOTHER.upper(), BY_ANOTHER.encode(), 7])
def test_what_is_no_signature_is_none(found: object) -> None:
    assert not is_signed(found, KEY, RUN, 7, DIGEST)
