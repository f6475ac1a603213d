"""The signature of a commit: who rebuilds the chain cannot make it without the key."""

from __future__ import annotations

import hashlib
import hmac

SIGNING_KEY = "ELSPETH_SIGNING_KEY"
"""The environment variable that holds the key, as UTF-8 text."""


def signature(key: bytes, run_id: str, commit_no: int, digest: str) -> str:
    """HMAC-SHA-256 (hex, RFC 2104) over `RUN_ID/COMMIT_NO/DIGEST`, in ASCII."""
    return hmac.new(key, f"{run_id}/{commit_no}/{digest}".encode(), hashlib.sha256).hexdigest()


def is_signed(found: object, key: bytes, run_id: str, commit_no: int, digest: str) -> bool:
    """Whether what was found is the commit's signature with this key; in constant time."""
    right = signature(key, run_id, commit_no, digest)
    return isinstance(found, str) and hmac.compare_digest(right.encode(), found.encode())
