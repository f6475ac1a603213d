"""The payload store: data too large for the database, in files named by their own SHA-256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class PayloadStore:
    """Content-addressed files under `base`. Writing the same content twice is writing it once.

    A file appears under its name only when it is whole and on disk, so that a record may mention it.
    """

    def __init__(self, base: Path, inline_limit: int = 65536) -> None:
        self.base = base
        self.inline_limit = inline_limit

    def path(self, reference: str) -> Path:
        """Where the content with this SHA-256 (hex) is kept."""
        return self.base / reference[:2] / reference[2:]

    def put(self, content: bytes) -> str:
        """Keep this content; returns its reference. Raises `OSError` where it cannot be written."""
        reference = hashlib.sha256(content).hexdigest()
        path = self.path(reference)
        if path.exists():
            return reference
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return reference

    def get(self, reference: str) -> bytes:
        """The content behind a reference. Raises `FileNotFoundError`, or `ValueError` if it is not what it was."""
        content = self.path(reference).read_bytes()
        if hashlib.sha256(content).hexdigest() != reference:
            raise ValueError(f"payload {reference} was changed since it was written")
        return content
