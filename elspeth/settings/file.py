"""The bytes of a settings file as text, or one sentence on why they are none."""

from __future__ import annotations

from pathlib import Path

from elspeth.settings.problems import Problem, SettingsProblems, suggest

MAX_BYTES = 4 * 1024 * 1024
"""More than anybody writes by hand; a device given by mistake would never end."""


def read(path: Path) -> str:
    """The text of the file, which is UTF-8 with or without a byte order mark. Raises `SettingsProblems`."""

    def refuse(message: str, *, line: int | None = None, suggestion: str = "") -> SettingsProblems:
        return SettingsProblems([Problem(str(path), line, "", message, suggestion=suggestion)])

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise refuse("there is no such file", suggestion=_neighbour(path)) from None
    except IsADirectoryError:
        raise refuse("is a folder, not a file", suggestion=_neighbour(path / "pipeline.yaml")) from None
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise refuse(f"is larger than settings can be ({MAX_BYTES // 1024 // 1024} MiB)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text", line=data.count(b"\n", 0, error.start) + 1) from None


def _neighbour(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    guess = suggest(path.name, names)
    return str(path.parent / guess) if guess else ""
