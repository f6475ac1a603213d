"""What is said of batches and tokens that attempts died with."""

from __future__ import annotations

from elspeth.coordinator.suspicion.named_suspects import facts_of, sentence

TOKENS = {"t", "t>out"}


def test_the_record_says_what_it_is_and_where() -> None:
    assert facts_of("b@batch", TOKENS) == {"batch": "b@batch"}
    assert facts_of("t", TOKENS) == {"token": "t"}
    assert facts_of("t>out", TOKENS) == {"token": "t", "sink": "out"}


def test_a_sentence_says_how_attempts_died() -> None:
    assert sentence("b", TOKENS, 1) == "batch b is suspected: a whole attempt died in its flush"
    assert sentence("t", TOKENS, 2) == "token t is suspected: a whole attempt died 2 times with it in hand"
    assert sentence("t>out", TOKENS, 1) == "token t is suspected: a whole attempt died while out wrote it"
