"""Report and live page as a person has them before the eyes: in Debian's chromium, on three screens, light and dark."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from tests.kit import pictures
from tests.kit.browser import CHROMIUM, Browser, browser
from tests.kit.pipelines import pictured
from tests.kit.processes.held import elspeth, held_run, make
from tests.kit.processes.serving import serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no browser here: Debian's package chromium")

WIDTHS = (390, 1280, 1920)
RUNS = {"completed": pictured.loans, "killed": pictured.dead, "calls": pictured.tickets}
PICTURES = os.environ.get("ELSPETH_SCREENSHOTS")
"""A folder for what is seen here, for whoever wants to look at it."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A run of each kind."""
    return request.param, RUNS[request.param](tmp_path_factory.mktemp("runs") / "run")


@contextmanager
def shown(page: str, folder: Path) -> Iterator[str]:
    """The address of the report about the latest run, or of the live page."""
    if page == "report":
        assert elspeth(folder, "report", "latest", "-o", "run.html").returncode == 0
        yield (folder / "run.html").as_uri()
    else:
        with serving(folder) as server:
            yield server.address


@pytest.mark.parametrize("page", ["report", "live page"])
def test_the_page_fits_on_every_screen_and_nobody_is_kept_from_using_it(
    chromium: Browser, run: tuple[str, Path], page: str, tmp_path: Path
) -> None:
    kind, folder = run
    with shown(page, folder) as address:
        for dark in (False, True):
            for width in WIDTHS:
                chromium.look(width, dark=dark)
                open_whole(chromium, address)
                if page == "live page":
                    tell_row(chromium, "3")
                assert chromium.evaluate("document.documentElement.scrollWidth") <= width
                assert cut_off(chromium) == []
                name = f"{kind}-{page.replace(' ', '-')}-{width}-{'dark' if dark else 'light'}.png"
                picture = Path(PICTURES or tmp_path) / name
                chromium.screenshot(picture)
                assert picture.stat().st_size > 10_000
                assert violations(chromium) == [], name
    assert chromium.said == []


def open_whole(chromium: Browser, address: str) -> None:
    """Go to a page, and open all that is folded."""
    chromium.said.clear()
    chromium.open(address)
    chromium.wait("document.querySelector('#settings')")
    chromium.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def tell_row(chromium: Browser, asked: str) -> None:
    chromium.evaluate(f"location.hash = 'latest/{asked}'")
    chromium.wait("document.querySelector('#told pre')")


def cut_off(chromium: Browser) -> list[str]:
    """What hangs out of the page, but for what stands in a box of its own that can be scrolled."""
    found: list[str] = chromium.evaluate(
        "[...document.querySelectorAll('body *')].filter((one) => !one.closest('.scroll')"
        " && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 80))"
    )
    return found


def violations(chromium: Browser) -> list[str]:
    """What axe-core has to say of the page that is open, evaluated beside its policy."""
    chromium.evaluate(f"{files('axe_core_python').joinpath('axe.min.js').read_text()}; true")
    text = chromium.evaluate(
        "axe.run(document).then((found) => JSON.stringify(found.violations.map((one) =>"
        " one.id + ': ' + one.nodes.slice(0, 2).map((node) => node.html.slice(0, 120)))))"
    )
    found: list[str] = json.loads(text)
    return found


def test_axe_finds_what_is_wrong(chromium: Browser) -> None:
    chromium.open("data:text/html,<html lang=en><title>t</title><main><h1>h</h1><img src=x><button></button></main>")
    assert {one.partition(":")[0] for one in violations(chromium)} == {"image-alt", "button-name"}


def test_a_click_leads_from_the_run_to_its_node_reason_row_and_story(chromium: Browser, tmp_path: Path) -> None:
    folder = pictured.loans(tmp_path / "run")
    told = elspeth(folder, "explain", "--run", "latest", "--row", "3").stdout
    with serving(folder) as server:
        chromium.look(1280, dark=False)
        chromium.open(server.address)
        chromium.wait("document.querySelector('#settings')")
        assert server.token not in chromium.evaluate("location.href + document.cookie")
        chromium.click("#runs summary")
        chromium.click("#runs td a")
        chromium.wait("location.hash.length === 9 && document.querySelector('#runs td a[aria-current=true]')")
        chromium.click("[data-node=screen]")
        chromium.wait("document.querySelector('#detail details[open]')")
        chromium.click("#detail details details summary")
        chromium.click("#detail details details button.tell")
        chromium.wait("document.querySelector('#told pre')")
        assert chromium.evaluate("document.querySelector('#told pre').textContent") == told
        assert chromium.evaluate("document.activeElement === document.querySelector('#told h2')")
        # Back leads out of the story again, and the way of the keyboard into another one.
        chromium.evaluate("history.back()")
        chromium.wait("document.querySelector('#told').hidden")
        chromium.evaluate("document.querySelector('[data-node=source]').focus()")
        chromium.press("Enter", 13)
        chromium.wait("document.querySelector('#detail h3').textContent === 'source'")
        chromium.evaluate("document.querySelector('#asked').focus()")
        chromium.type("id=4")
        chromium.press("Enter", 13)
        chromium.wait(
            "document.querySelector('#told pre') && /^Row 4 /.test(document.querySelector('#told h2').textContent)"
        )
        chromium.evaluate("document.querySelector('#asked').value = ''; document.querySelector('#asked').focus()")
        chromium.type("defaults=1")
        chromium.press("Enter", 13)
        chromium.wait("document.querySelector('#told td a')")
        chromium.click("#told td a")
        chromium.wait("document.querySelector('#told pre')")


def test_the_page_follows_a_run_through_its_kill_and_its_resume_without_being_loaded_again(
    chromium: Browser, tmp_path: Path
) -> None:
    settings = make(tmp_path)
    says = "document.querySelector('#verdict strong').textContent"
    with ExitStack() as stack:
        process, run_id = stack.enter_context(held_run(settings))
        server = stack.enter_context(serving(tmp_path))
        chromium.look(1280, dark=False)
        chromium.open(server.address)
        chromium.wait(f"document.querySelector('#verdict') && {says}.startsWith('alive')")
        chromium.evaluate("window.loaded = 'once'")
        chromium.click("[data-key=happened] summary")
        process.kill()
        chromium.wait(f"{says}.startsWith('orphaned')")
        assert f"elspeth resume {run_id}" in chromium.evaluate("document.querySelector('#verdict').textContent")
        (tmp_path / "go").touch()
        assert elspeth(tmp_path, "resume", run_id).returncode == 0
        chromium.wait(f"{says}.startsWith('completed, 3,000 rows')")
        assert chromium.evaluate("window.loaded") == "once"
        assert chromium.evaluate("document.querySelector('[data-key=happened]').open"), "what was opened stays so"


def test_what_people_wrote_into_rows_is_text_and_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    folder = pictured.loans(tmp_path / "run", pictured.HOSTILE, pictured.HOSTILE, rows=200)
    large = pictured.loans(tmp_path / "large", pictured.HOSTILE + "x" * 1_000_000, "1" * 100_000, rows=40)
    for place in (folder, large):
        for page in ("report", "live page"):
            with shown(page, place) as address:
                chromium.look(390, dark=False)
                open_whole(chromium, address)
                for node in ("screen", "source"):
                    chromium.click(f"[data-node={node}]")
                    chromium.wait(f"document.querySelector('#detail h3').textContent === '{node}'")
                    chromium.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
                if page == "live page":
                    tell_row(chromium, "3")
                    story = chromium.evaluate("document.querySelector('#told pre').textContent")
                    assert pictured.SCRIPT in story
                    assert "\\u202eeslaf" in story
                    assert "\u202e" not in story
                    assert len(story) < 100_000
                if place == folder:  # what is large is in the payload store
                    assert pictured.SCRIPT in chromium.evaluate("document.querySelector('#errors').textContent")
                assert chromium.evaluate("document.title").startswith("Elspeth run ")
                assert (
                    chromium.evaluate(
                        "document.querySelectorAll('main script, main img, main svg svg, #told img').length"
                    )
                    == 0
                )
                assert set(
                    chromium.evaluate(
                        "[...document.querySelectorAll('pre')].map((one) => getComputedStyle(one).unicodeBidi)"
                    )
                ) == {"isolate"}
                assert chromium.evaluate("document.documentElement.scrollWidth") <= 390
                assert chromium.said == []


def test_the_pictures_of_the_docs_are_drawn_anew_as_large_as_they_are(tmp_path: Path) -> None:
    pictures.draw(tmp_path)
    for name in pictures.DRAWN:
        drawn, there = ((folder / name).read_bytes() for folder in (tmp_path, pictures.FOLDER))
        assert drawn[:24] == there[:24]  # signature, width and height
