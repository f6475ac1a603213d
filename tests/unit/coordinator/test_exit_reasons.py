from __future__ import annotations

from typing import Any

import pytest

from actors import ChildDown, Identity
from elspeth.coordinator import exit_reasons


def down(**fields: Any) -> ChildDown:
    told = {
        "name": "worker-1", "identity": Identity(7, 0.0, "boot", "namespace", "host"), "incarnation": 1,
        "exit_code": None, "signal": "SIGKILL", "reason": "signal", "position": -1, "detail": 0, "output_tail": "",
    }  # fmt: skip
    return ChildDown(**(told | fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": "signal", "signal": "SIGSEGV"}, "SIGSEGV"),
        ({"reason": "exited", "signal": None, "exit_code": 7}, "exit code 7"),
        ({"reason": "hang"}, "supervisor.hang_timeout_seconds (300 s)"),
        ({"reason": "memory"}, "supervisor.worker_memory_limit_mb"),
        ({"reason": "fork_server"}, "SIGKILL: so died the process that children are forked from"),
    ],
)
def test_a_death_is_told_with_what_it_came_from(fields: dict[str, Any], words: str) -> None:
    assert words in exit_reasons.describe(down(**fields), 300.0)
