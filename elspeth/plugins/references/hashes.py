"""The hash by which a reference file is known again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from elspeth.errors import SettingsError
from elspeth.file_identity import open_regular


def reference_hash(path: Path) -> str:
    """SHA-256 (hex) of a reference file's bytes. Raises `SettingsError` where it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> SettingsError:
    """The error that says that a reference file cannot be read, and why."""
    return SettingsError(
        f"the reference file {path} of a plugin cannot be read: {error.strerror or error}",
        next_step="put it there as the plugin needs it; relative paths count from the working directory",
    )
