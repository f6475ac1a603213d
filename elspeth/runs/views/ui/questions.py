"""What somebody asks about rows of a run: which row is meant, and its story, as `explain` tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Any

import msgspec

from elspeth.audit.explain.session import ExplainSession, explain_session
from elspeth.audit.store.place import Place
from elspeth.canonical import JsonObject
from elspeth.errors import ElspethError, SettingsError
from elspeth.ids import row_id
from elspeth.runs.views.ui.requests import Refused
from elspeth.visible import shortened

SECONDS = 20.0
"""So long a search may take: it looks at every row."""

MOST_WAITING = 8
MOST_LISTED = 100
MOST_LINES = 2000
LINE = 2000
"""Characters of a line that are shown."""

Tell = Callable[[dict[str, Any]], str]
"""What puts a story into words."""


class Questions:
    """Answers about the rows of one database, in threads of `executor`; to a few at a time."""

    def __init__(self, path: Place, tell: Tell, executor: Executor, seconds: float = SECONDS) -> None:
        self._path = path
        self._tell = tell
        self._executor = executor
        self._seconds = seconds
        self._waiting = 0
        self._closed = False

    def close(self) -> None:
        """Give up whatever is under way."""
        self._closed = True

    async def answer(self, reference: str, asked: str) -> bytes:
        """The answer as JSON. Raises `Refused` where too many wait."""
        if self._waiting >= MOST_WAITING:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "Others are being answered; ask again.")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return msgspec.json.encode(await loop.run_in_executor(self._executor, self._answer, reference, asked))
        finally:
            self._waiting -= 1

    def _answer(self, reference: str, asked: str) -> JsonObject:
        end = time.monotonic() + self._seconds
        try:
            with explain_session(self._path, reference, lambda: self._closed or time.monotonic() > end) as session:
                kind, what = understood(asked, session.run_id)
                match kind:
                    case "row":
                        return self._story(session.run_id, session.lineage.row(int(what)))
                    case "token":
                        return self._story(session.run_id, session.lineage.token(what))
                    case _:
                        return self._search(session, what)
        except ElspethError as error:
            return {"trouble": error.message, "details": list(error.details)}

    def _search(self, session: ExplainSession, words: str) -> JsonObject:
        result = session.search((words,))
        if len(result.found) == 1:
            return self._story(session.run_id, session.lineage.row(result.found[0][0]))
        return {
            "run_id": session.run_id, "words": words, "scanned": result.scanned,
            "unseen": result.purged + result.unreadable,
            "found": len(result.found),
            "rows": [{"row": index, "line": line} for index, line in result.found[:MOST_LISTED]],
        }  # fmt: skip

    def _story(self, run_id: str, story: dict[str, Any]) -> JsonObject:
        lines = self._tell(story).splitlines()
        return {
            "run_id": run_id, "row": story["row"], "token": story["token"],
            "lines": [shortened(line, LINE) for line in lines[:MOST_LINES]], "more": max(len(lines) - MOST_LINES, 0),
        }  # fmt: skip


def understood(asked: str, run_id: str) -> tuple[str, str]:
    """Whether a row is meant (by number or id), a token or what a field holds. Raises `SettingsError`."""
    text = asked.strip()
    number = text.removeprefix(f"{run_id}-")
    if number.isascii() and number.isdigit() and len(number) <= 18:
        return "row", number
    if text.startswith(f"{run_id}-"):
        return "token", text
    if "=" in text:
        return "field", text
    raise SettingsError(
        f"{text!r} names no row of run {run_id}: write a number, counted from 0, an id such as {row_id(run_id, 0)},"
        " or FIELD=VALUE"
    )
