"""Where, and in which words, a user's file failed."""

from __future__ import annotations

import traceback


def last_line(error: BaseException) -> str:
    """The line in which an exception was raised, with its file; empty where nobody knows."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def line_in(error: BaseException, file: str) -> int | None:
    """The last line of this file that an exception came through."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None


def words(error: BaseException) -> str:
    """What it says, without the place that a syntax error adds."""
    return error.msg if isinstance(error, SyntaxError) else str(error)
