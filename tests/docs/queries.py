"""The questions in SQL that the pages show, and those that operators have in their own runbook."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from tests.docs.markdown import blocks
from tests.docs.repository import ROOT, text_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "ops" / "docs").rglob("*.md"))]
_TYPED = re.compile(r"sqlite3 (?:-\w+ )*runs/audit\.db \"((?:[^\"\\]|\\.)*)\"", re.S)
_TYPED_THERE = re.compile(r"psql \"\$AUDIT\" -At -c \"((?:[^\"\\]|\\.)*)\"", re.S)


def documented() -> dict[str, str]:
    """All of them by where they stand, as SQL, with `<RUN_ID>` and `<ROW_ID>` where ids go."""
    found = {}
    for page in PAGES:
        for block in blocks(text_of(page)):
            shown = [block.text] if block.language == "sql" else typed(block.text)
            for number, text in enumerate(shown):
                if text.lstrip().upper().startswith("SELECT"):
                    name = f"{page.relative_to(ROOT)}:{block.line}:{number}"
                    found[name] = re.sub(r"'2rym\w{4}-\d{9}'", "'<ROW_ID>'", text)
    metadata = yaml.safe_load(text_of(ROOT / "ops" / "datasette" / "metadata.yaml"))
    for name, query in metadata["databases"]["audit"]["queries"].items():
        text = query["sql"].replace(":run_id", "'<RUN_ID>'").replace(":row_id", "'<ROW_ID>'")
        found[f"datasette:{name}"] = text
    return found


def typed(text: str, *, there: bool = False) -> list[str]:
    """The SQL that is given to the `sqlite3` shell, or with `there` to `psql`, in lines of shell."""
    return [_plain(sql) for sql in (_TYPED_THERE if there else _TYPED).findall(text)]


def pairs() -> Iterator[tuple[str, list[str], list[str]]]:
    """Blocks of runbooks with what the `sqlite3` shell is asked in them, and what `psql` is in the block behind."""
    for page in sorted((ROOT / "ops" / "docs" / "runbooks").glob("*.md")):
        found = list(blocks(text_of(page)))
        for block, behind in zip(found, [*found[1:], None], strict=True):
            asked = [sql for sql in typed(block.text) if "SELECT" in sql]
            if block.language == "sh" and asked:
                there = typed(behind.text, there=True) if behind is not None and behind.language == "psql" else []
                yield f"{page.stem}:{block.line}", asked, there


def _plain(sql: str) -> str:
    return sql.replace('\\"', '"').strip()
