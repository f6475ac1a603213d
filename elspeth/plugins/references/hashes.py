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
        raise SettingsError(
            f"the reference file {path} of a plugin cannot be read: {error.strerror or error}",
            next_step="put it there as the plugin needs it; relative paths count from the working directory",
        ) from error
