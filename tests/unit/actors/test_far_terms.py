from __future__ import annotations

from actors.places.far.terms import Terms, differences
from actors.wire.words import VERSION, Facts

TERMS = Terms(required={"elspeth": "1.2", "Python": "3.11"})


def test_a_node_with_the_same_is_taken_whatever_else_it_has() -> None:
    assert differences(TERMS, Facts(VERSION, {"elspeth": "1.2", "Python": "3.11", "more": "x"}), "n (1.2.3.4)") == ""


def test_a_node_with_something_else_is_refused_in_a_sentence_that_names_both() -> None:
    assert differences(TERMS, Facts(VERSION, {"elspeth": "1.1", "Python": "3.11"}), "n (1.2.3.4)") == (
        "n (1.2.3.4) has elspeth 1.1 where this machine has 1.2: have the same on both"
    )
    assert "Python missing where this machine has 3.11" in differences(TERMS, Facts(VERSION, {"elspeth": "1.2"}), "n")


def test_a_node_that_cannot_be_asked_is_refused() -> None:
    facts = Facts(VERSION, problem="ModuleNotFoundError: No module named 'elspeth'")
    assert "n cannot be asked what is installed there: ModuleNotFoundError: No module" in differences(TERMS, facts, "n")


def test_a_node_that_speaks_otherwise_is_refused() -> None:
    assert "speaks version 99" in differences(TERMS, Facts(99), "n")
