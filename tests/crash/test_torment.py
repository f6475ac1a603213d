"""A short campaign of torment; and that each kind of it finds what it is there to find."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.crash.torment import campaign, collisions, evidence, system
from tests.crash.torment.campaign import KINDS, Campaign
from tests.crash.torment.round import Round
from tests.docs.repository import ROOT

SEED = 5


@pytest.mark.parametrize("number", range(len(KINDS)), ids=list(KINDS))
def test_a_round_of_each_kind_violates_nothing(tmp_path: Path, number: int) -> None:
    this = Campaign(tmp_path, SEED)
    assert this.round(number) == []
    assert list(this.tally.rounds) == [list(KINDS)[number]]
    assert list(tmp_path.iterdir()) == [], "what violated nothing is not kept"


def test_a_round_is_decided_by_its_seed_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    monkeypatch.setitem(KINDS, "tamper", lambda this: drawn.append(this.chance.random()))
    for number, seed in ((2, 1), (2, 1), (8, 1), (2, 2)):
        Campaign(tmp_path, seed).round(number)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_a_violation_is_told_with_what_repeats_it_kept_and_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.crash.torment import __main__ as program

    def violated(this: Round) -> None:
        this.note("the moon was moved")
        this.hold("the tide stays", true=False)

    monkeypatch.setitem(campaign.KINDS, "tamper", violated)
    monkeypatch.setattr(sys, "argv", ["torment", "--seed", "9", "--round", "2", "--folder", str(tmp_path)])
    assert program.main() == 1
    told = capsys.readouterr().out
    assert "--seed 9 --round 2 --kind collide --kind links" in told
    assert "the tide stays; the moon was moved" in told
    assert (tmp_path / "2-tamper").is_dir()
    monkeypatch.setitem(campaign.KINDS, "tamper", lambda this: None)
    shutil.rmtree(tmp_path / "2-tamper")
    assert program.main() == 0


def test_evidence_that_no_longer_finds_changes_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "verify_run", lambda reader, run, key: [])
    this = Campaign(tmp_path, SEED, ["tamper"])
    assert any("found by verify with the key" in violation for violation in this.round(0))


def fake(returncode: int, deed: Callable[[Path], Any] = lambda folder: None) -> Callable[..., SimpleNamespace]:
    """A command that does this to the folder, says nothing, and ends with this code."""

    def command(this: Round, *words: str, folder: Path, **_: Any) -> SimpleNamespace:
        deed(folder)
        return SimpleNamespace(returncode=returncode, stdout="", stderr="")

    return command


def test_a_collision_that_is_let_through_or_does_harm_is_a_violation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def harm(folder: Path) -> None:
        (folder / "input.csv").write_text("harmed\n" + (folder / "input.csv").read_text())

    monkeypatch.setattr(Round, "command", fake(0, harm))
    found = [text for number in range(8) for text in Campaign(tmp_path / str(number), SEED, ["collide"]).round(number)]
    assert any("a collision is refused by run" in text for text in found)
    assert any("what collides keeps its bytes" in text for text in found)
    assert collisions.VICTIMS


def test_a_limit_that_is_booked_on_rows_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Round, "command", fake(0))
    monkeypatch.setattr(system, "violations", lambda folder: ["row 3 was quarantined"])
    (found,) = Campaign(tmp_path, SEED, ["limits"]).round(0)
    assert "no row is blamed" in found


def test_a_traceback_and_an_exit_code_of_nobodys_are_violations(tmp_path: Path) -> None:
    this = Round(tmp_path, "seed")
    this.command("runs", "--database", "nowhere.db")
    assert this.violations == []
    (tmp_path / "sitecustomize.py").write_text("import os\nprint('Traceback (most recent call last)')\nos._exit(66)\n")
    this.command("runs", PYTHONPATH=str(tmp_path))
    assert len(this.violations) == 2


def test_the_program_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.torment", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(option in done.stdout for option in ("--seconds", "--seed", "--round", "--kind"))
    assert (ROOT / "ops" / "torment").stat().st_mode & 0o111
