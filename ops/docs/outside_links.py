"""For mkdocs: a link that leaves the pages for a file of the repository is shown as that file's path."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#\s]+)(?:#[^)\s]*)?\)")
log = logging.getLogger("mkdocs.hooks")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Called by mkdocs with the text of each page. A link to nothing is left alone, so that a strict build ends."""
    folder = Path(page.file.abs_src_path).parent

    def shown(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(config.docs_dir) or not target.exists():
            return link[0]
        path = f"`{target.relative_to(ROOT).as_posix()}`"
        return link[1] if link[1] == path else f"{link[1]} ({path})"

    return LINK.sub(shown, markdown)
