"""What is looked at in a child of another machine from here: whether there is a word of it, and its deadline."""

from __future__ import annotations

import math
from typing import Protocol

from actors.lifecycle import State
from actors.places.far.transport import Node
from actors.spec import ChildSpec, not_in_time
from actors.wire.conversation import Conversation
from actors.wire.words import Status

GRACE_SECONDS = 2.0
"""So much longer than its agent, which knows more, do we wait for a child that is to end."""


class _Watched(Protocol):
    node: Node | None
    conversation: Conversation
    status: Status


class FarHealth:
    """Looks at one incarnation of a far child. Its agent looks for hangs, and at its memory, and ends it itself."""

    def __init__(self, spec: ChildSpec, child: _Watched, unreachable_seconds: float, tick_seconds: float) -> None:
        self._spec, self._child, self._tick_seconds = spec, child, tick_seconds
        self._limit = max(2, math.ceil(unreachable_seconds / tick_seconds))
        self._silent, self._heard = 0, 0
        self._ticks_left: int | None = None
        self.resident_bytes = 0

    def expect_end(self) -> None:
        """It was asked to stop: from now on it has its `shutdown_seconds`, and a little for the way."""
        self._ticks_left = math.ceil((self._spec.shutdown_seconds + GRACE_SECONDS) / self._tick_seconds)

    def look(self, state: State) -> str | None:
        """One look; "place" where there was no word from its agent for too many of them."""
        if self._child.node is None or state is State.KILLED:
            return None
        self.resident_bytes = self._child.status.resident_bytes
        heard = self._child.conversation.heard
        self._silent = self._silent + 1 if heard == self._heard else 0
        self._heard = heard
        if self._silent >= self._limit:
            return "place"
        if self._ticks_left is not None:
            self._ticks_left -= 1
            return not_in_time(self._spec) if self._ticks_left < 0 else None
        return None
