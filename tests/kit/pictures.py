"""Draws the pictures of README and docs anew, from runs of today: `ops/pictures`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.kit.browser import browser
from tests.kit.pipelines import pictured
from tests.kit.processes.held import elspeth
from tests.kit.processes.serving import serving

FOLDER = Path(__file__).parents[2] / "ops" / "docs" / "pictures"
DRAWN = {
    "report.png": "A report: the verdict, the flow with its counts, and what became of every token.",
    "killed.png": "The live page of a run that was killed: it says so, and how to go on.",
    "story.png": "The story of a row, found by a field.",
    "narrow.png": "A run that asked a model, on a narrow screen.",
}


def draw(target: Path) -> None:
    """Draw all of them into a folder."""
    with tempfile.TemporaryDirectory() as name, browser(Path(name) / "profile") as chromium:
        place = Path(name)
        loans, dead, tickets = (
            kind(place / kind.__name__) for kind in (pictured.loans, pictured.dead, pictured.tickets)
        )
        for folder in (loans, tickets):
            assert elspeth(folder, "report", "latest", "-o", "run.html", "--verify").returncode == 0
        there = "document.querySelector('#settings')"
        chromium.look(1920, dark=False)
        chromium.open((loans / "run.html").as_uri())
        chromium.wait(there)
        chromium.click("[data-node=screen]")
        chromium.screenshot(target / "report.png", most=980)
        chromium.look(390, dark=True)
        chromium.open((tickets / "run.html").as_uri())
        chromium.wait(there)
        chromium.screenshot(target / "narrow.png", most=900)
        chromium.look(1280, dark=True)
        with serving(dead) as server:
            chromium.open(server.address)
            chromium.wait(there)
            chromium.screenshot(target / "killed.png", most=560)
        chromium.look(1280, dark=False)
        with serving(loans) as server:
            chromium.open(server.address)
            chromium.wait(there)
            chromium.click("#asked")
            chromium.type("id=21")
            chromium.press("Enter", 13)
            chromium.wait("document.querySelector('#told pre')")
            chromium.screenshot(target / "story.png", most=800)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
