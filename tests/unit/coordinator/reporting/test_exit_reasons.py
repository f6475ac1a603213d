from __future__ import annotations

from typing import Any

import pytest

from actors import ChildDown, Identity
from actors.child import EXIT_REFUSED
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


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": "place", "lost": "the node went away"}, "lost: the node went away"),
        ({"reason": "place"}, "its place was lost"),
        ({"reason": "exited", "signal": None, "exit_code": EXIT_REFUSED}, "the system had no room for another thread"),
        ({"reason": "oom", "out_of_memory": True, "group_limit_bytes": 2 << 30}, "control group is 2,048 MiB)"),
    ],
)
def test_each_cause_has_words_of_its_own(fields: dict[str, Any], words: str) -> None:
    assert exit_reasons.describe(down(**fields), Limits()).endswith(words)


def test_a_limit_of_the_address_space_is_not_named_where_the_kernel_took_the_process() -> None:
    limits = Limits(address_space_bytes=300 << 20)
    assert "no limit is set" in exit_reasons.describe(down(reason="oom", out_of_memory=True), limits)


@pytest.mark.parametrize(("name", "ours"), [("worker-1", True), ("stage-2", True), ("sinks", False), ("source", False)])
def test_our_memory_limit_is_of_workers_and_stages(name: str, ours: bool) -> None:
    assert exit_reasons.of_memory(down(reason="memory", name=name), LIMITED) == (not ours)
    assert exit_reasons.of_memory(down(reason="memory", name=name), Limits())


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, {}),
        ({"position": 0}, {"position": 0}),
        ({"position": 5, "name": "source"}, {}),
        ({"where": "10.0.0.7", "lost": "cut"}, {"node": "10.0.0.7", "lost": "cut"}),
    ],
)
def test_the_record_says_where_a_child_was_and_what_it_touched(fields: dict[str, Any], facts: dict[str, Any]) -> None:
    expected = {"reason": "signal", "exit_code": None, "signal": "SIGKILL"} | facts
    assert exit_reasons.detail(down(**fields)) == expected


@pytest.mark.parametrize(
    ("fields", "name"),
    [({}, "worker-1 (pid 7)"), ({"where": "10.0.0.7"}, "worker-1 (pid 7 on 10.0.0.7)")],
)
def test_a_process_is_named_with_its_machine_where_that_is_another(fields: dict[str, Any], name: str) -> None:
    assert exit_reasons.named(down(**fields)) == name
    nobody = down(**fields, identity=Identity(0, 0.0, "", "", ""))
    assert exit_reasons.named(nobody) == name.replace("pid 7", "not begun")


def test_giving_up_says_each_death_and_the_last_lines_of_the_last() -> None:
    exits = [down(output_tail="not this\n"), down(output_tail="".join(f"line {n}\n" for n in range(8)))]
    error = exit_reasons.gave_up("3 in 60 s", exits, LIMITED)
    assert not isinstance(error, Temporary)
    assert error.message == "restart intensity exceeded: 3 in 60 s"
    assert list(error.details) == ["worker-1 (pid 7): SIGKILL"] * 2 + [f"line {n}" for n in range(3, 8)]
    assert list(exit_reasons.gave_up("reactor", [], LIMITED).details) == []


def test_one_that_could_not_begin_for_want_of_a_thread_is_told_which_limit_to_raise() -> None:
    exits = [down(), down(signal=None, exit_code=EXIT_REFUSED)]
    error = exit_reasons.gave_up("3 in 60 s", exits, LIMITED)
    assert isinstance(error, Temporary)
    assert "worker-1 could not begin" in error.message
    assert "ulimit -u" in error.next_step
    assert not isinstance(exit_reasons.gave_up("3 in 60 s", exits[::-1], LIMITED), Temporary)


def test_memory_that_ran_out_names_the_last_such_death_and_the_three_last() -> None:
    exits = [
        down(reason="oom", out_of_memory=True, group_limit_bytes=limit << 20, identity=Identity(limit, 0.0, "", "", ""))
        for limit in (10, 20, 30, 40)
    ]
    error = exit_reasons.out_of_memory([*exits, down()], Limits())
    assert "40 MiB" in error.message
    assert [detail.split(":")[0] for detail in error.details] == [
        "worker-1 (pid 30)", "worker-1 (pid 40)", "worker-1 (pid 7)",
    ]  # fmt: skip


def test_a_suspicion_holds_how_the_process_ended() -> None:
    told = exit_reasons.suspicion(down(detail=4, reason="oom", out_of_memory=True), LIMITED)
    assert (told.detail, told.signal, told.exit_code, told.memory) == (4, "SIGKILL", None, True)
    assert told.of_this_attempt
    assert not exit_reasons.suspicion(down(), LIMITED).memory
