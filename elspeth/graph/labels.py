"""The names of ways out of a step."""

from __future__ import annotations

import json
from typing import Any

CONTINUE = "continue"
"""The label of a step's normal way out, and the word for it in a gate's routes."""

FORK = "fork"
"""The word in a gate's routes that sends a copy of the row along each of its `fork_to` branches."""

ERROR = "error"
"""The label of the way that rows take which a node cannot handle."""


def route_label(value: Any) -> str:
    """The label of the route that a condition's value takes: `true` and `false`, a text itself, else its JSON."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
