"""Every link of every document leads somewhere."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.docs.markdown import anchors, links
from tests.docs.repository import ROOT, name_of, text_of, tracked

DOCUMENTS = tracked(".md")


def dead_links(file: Path) -> list[str]:
    """The links of a document that lead to no file, or to no heading of it."""
    dead = []
    for link in links(text_of(file)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(file: Path) -> None:
    assert dead_links(file) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("# A page\n[a](page.md#a-page) [b](page.md#b) [c](gone.md) `[d](code.md)`\n")
    assert dead_links(document) == ["page.md#b", "gone.md"]


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_documents_outside_the_repository_are_not_linked(file: Path) -> None:
    outside = [
        link
        for link in links(text_of(file))
        if "://" not in link and not (file.parent / link.partition("#")[0]).resolve().is_relative_to(ROOT)
    ]
    assert outside == []


def test_the_site_shows_a_link_out_of_the_pages_as_a_path_and_leaves_dead_ones_to_the_strict_build() -> None:
    pages = ROOT / "ops" / "docs"
    hook = runpy.run_path(str(pages / "outside_links.py"))["on_page_markdown"]
    page = SimpleNamespace(file=SimpleNamespace(abs_src_path=str(pages / "runbooks" / "page.md")))
    inside = "[codes](../reference/exit-codes.md) [x](../no.md)"
    text = f"[unit](../../deploy/elspeth.service) [`ops/check`](../../check) {inside}"
    assert hook(text, page=page, config=SimpleNamespace(docs_dir=str(pages)), files=[]) == (
        f"unit (`ops/deploy/elspeth.service`) `ops/check` {inside}"
    )
