from __future__ import annotations

from typing import Any

import pytest

from actors import ChildDown, Identity
from elspeth.coordinator.reporting import exit_reasons
from elspeth.coordinator.reporting.exit_reasons import Limits
from elspeth.errors import Temporary

LIMITED = Limits(300.0, 400 << 20)


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
    assert words in exit_reasons.describe(down(**fields), LIMITED)


@pytest.mark.parametrize(
    ("fields", "limits", "words"),
    [
        (
            {"reason": "oom", "out_of_memory": True, "group_limit_bytes": 80 << 20},
            LIMITED,
            "the kernel killed it (the memory limit of its control group is 80 MiB)",
        ),
        (
            {"reason": "fork_server", "out_of_memory": True, "fork_server": 9},
            LIMITED,
            "the kernel killed it (no limit is set",
        ),
        (
            {"reason": "memory", "signal": None, "exit_code": 71},
            Limits(address_space_bytes=300 << 20),
            "the system gave it no more (the address space limit, ulimit -v, is 300 MiB)",
        ),
        ({"reason": "memory", "name": "sinks", "exit_code": 71}, LIMITED, "the system gave it no more"),
    ],
)
def test_memory_that_no_setting_bounds_is_a_cause_from_outside(
    fields: dict[str, Any], limits: Limits, words: str
) -> None:
    death = down(**fields)
    assert exit_reasons.of_memory(death, limits)
    assert words in exit_reasons.describe(death, limits)
    error = exit_reasons.gave_up("it kept dying", [death], limits)
    assert isinstance(error, Temporary)
    assert error.message.startswith("out of memory")


def test_memory_that_a_setting_bounds_is_the_rows_own() -> None:
    assert not exit_reasons.of_memory(down(reason="memory"), LIMITED)


def test_rows_that_were_tried_in_vain_are_named_and_not_blamed() -> None:
    error = exit_reasons.out_of_memory([down(reason="oom", out_of_memory=True)], LIMITED, [3, 8])
    assert [detail for detail in error.details if "row 8" in detail and "not blamed" in detail]
