"""Mutants can be made as the code is now, and what a test notices is told from what it does not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.kit.mutants import random_ones, rooms
from tests.kit.mutants.campaign import Trial
from tests.kit.mutants.promises import PROMISES, Mutant
from tests.kit.processes.program import ROOT


@pytest.mark.parametrize("mutant", PROMISES, ids=lambda mutant: mutant.name)
def test_a_promise_is_broken_at_one_place_and_tests_are_named_that_should_notice(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.file} was changed: change the mutant with it"
    ast.parse(text.replace(mutant.old, mutant.new))
    assert mutant.tests
    assert [test for test in _files(mutant) if not (ROOT / test).exists()] == []


def test_each_mutant_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in PROMISES}) == len(PROMISES)


def test_random_mutants_come_from_every_room_in_turn() -> None:
    found = random_ones.sample(ROOT, 3 * len(rooms.ROOMS), 5)
    of = [next(room for room in rooms.ROOMS if mutant.file.startswith(room + "/")) for mutant in found]
    assert of == 3 * list(rooms.ROOMS)


def test_random_mutants_are_the_same_for_a_seed_and_each_changes_something() -> None:
    found = random_ones.sample(ROOT, 300, 5)
    assert found == random_ones.sample(ROOT, 300, 5) != random_ones.sample(ROOT, 300, 6)
    assert {mutant.file.split("/")[0] for mutant in found} == {"actors", "elspeth"}
    for mutant in found:
        text = (ROOT / mutant.file).read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1, mutant.name
        assert ast.dump(ast.parse(text.replace(mutant.old, mutant.new))) != ast.dump(ast.parse(text)), mutant.name
        assert [test for test in _files(mutant) if not (ROOT / test).exists()] == []


def test_a_mutant_is_made_asked_about_and_taken_back(tmp_path: Path) -> None:
    (tmp_path / "measure.py").write_text("def larger(one, other):\n    return one > other\n")
    (tmp_path / "test_one.py").write_text("from measure import larger\n\ndef test_it():\n    assert larger(2, 1)\n")
    (tmp_path / "test_same.py").write_text(
        "from measure import larger\n\ndef test_it():\n    assert not larger(1, 1)\n"
    )
    (tmp_path / "test_fails.py").write_text("def test_it():\n    assert False\n")
    (tmp_path / "test_many.py").write_text(
        "import pytest\nfrom measure import larger\n\ndef test_fails():\n    assert False\n\n"
        "@pytest.mark.parametrize('text', ['a - b', 'c d'])\ndef test_it(text):\n    assert not larger(text, text)\n"
    )
    (tmp_path / "test_broken.py").write_text("import measure\n\nassert not measure.larger(1, 1)\n")
    before = (tmp_path / "measure.py").read_text()
    trial = Trial(tmp_path)

    def blurred(*tests: str) -> Mutant:
        return Mutant("blurred", "measure.py", "one > other", "one >= other", tests)

    assert trial.notices(Mutant("turned", "measure.py", ">", "<", ("test_one.py",))) == "test_one.py::test_it"
    assert trial.notices(blurred("test_one.py")) is None
    assert trial.notices(blurred("test_one.py", "test_same.py")) == "test_same.py::test_it"
    assert trial.notices(blurred("test_one.py test_same.py")) == "test_same.py::test_it"
    assert trial.notices(blurred("test_fails.py")) is None
    assert trial.notices(blurred("test_many.py")) == "test_many.py::test_it[a - b]"
    assert trial.notices(blurred("test_broken.py")) == "test_broken.py"
    assert (tmp_path / "measure.py").read_text() == before


def _files(mutant: Mutant) -> list[str]:
    return [test.partition("::")[0] for tests in mutant.tests for test in tests.split()]
