"""Batches and tokens that are suspected of having killed whole attempts: what their names say, and in words. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet


def facts_of(name: str, tokens: AbstractSet[str]) -> dict[str, str]:
    """What is suspected, for the record: a batch, or where it is one of `tokens`, a token, and the sink that had it."""
    if name not in tokens:
        return {"batch": name}
    token, _, sink = name.partition(">")
    return {"token": token, "sink": sink} if sink else {"token": token}


def sentence(name: str, tokens: AbstractSet[str], deaths: int) -> str:
    """Why it is suspected: so many attempts died with it in hand."""
    died = "died" if deaths == 1 else f"died {deaths} times"
    match facts_of(name, tokens):
        case {"batch": batch}:
            return f"batch {batch} is suspected: a whole attempt {died} in its flush"
        case {"token": token, "sink": sink}:
            return f"token {token} is suspected: a whole attempt {died} while {sink} wrote it"
    return f"token {name} is suspected: a whole attempt {died} with it in hand"
