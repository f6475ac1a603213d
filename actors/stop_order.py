"""In which order children are stopped. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from actors.spec import HERE, ChildSpec


def stop_order(started: Iterable[ChildSpec]) -> list[list[str]]:
    """The names of children that are to be asked together, and the next only when these have ended.

    Right to left, one by one, as in OTP; but those that run elsewhere go together, with the last started of them. They
    are many, each takes a way there and back, and what stops after them stops after all of them.
    """
    order: list[list[str]] = []
    elsewhere: list[str] = []
    for spec in reversed([*started]):
        if spec.place == HERE:
            order.append([spec.name])
            continue
        if not elsewhere:
            order.append(elsewhere)
        elsewhere.append(spec.name)
    return order
