from __future__ import annotations

import itertools
import json
import threading

import pytest

from elspeth.cli.view.logs import KEPT_LINES, Log
from elspeth.cli.view.output_limit import LINES_PER_SECOND
from elspeth.concealment import Concealment


def test_lines_of_children_begin_with_the_run_and_the_role(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("text", "mf3k2a9x")
    log.from_child("worker-1", "out of cheese")
    log.flush()
    told = capsys.readouterr()
    assert told.err == "mf3k2a9x worker-1: out of cheese\n"
    assert told.out == ""


def test_lines_for_programs_are_one_json_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("json", "mf3k2a9x")
    log.from_child("sinks", 'a stray print with "quotes"')
    log.from_child("sinks", '{"level": "warning", "message": "a log line", "at": "2026-01-01T00:00:00.000Z"}')
    log.from_child("sinks", '{"amount": 5}')
    log.flush()
    log.notify("done", "info", rows=8)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all({"at", "run_id", "role", "level", "message"} <= set(line) for line in lines)
    assert [(line["role"], line["level"], line["message"]) for line in lines] == [
        ("sinks", "info", 'a stray print with "quotes"'),
        ("sinks", "warning", "a log line"),
        ("sinks", "info", '{"amount": 5}'),
        ("main", "info", "done"),
    ]
    assert lines[1]["at"] == "2026-01-01T00:00:00.000Z"
    assert lines[3]["rows"] == 8


def test_a_line_from_another_thread_waits_for_the_main_one(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("text", "mf3k2a9x")
    thread = threading.Thread(target=log.from_child, args=("source", "hello"))
    thread.start()
    thread.join()
    assert capsys.readouterr().err == ""
    log.flush()
    assert capsys.readouterr().err == "mf3k2a9x source: hello\n"


def test_lines_that_nobody_took_are_counted() -> None:
    seconds = itertools.count()
    log = Log("text", "mf3k2a9x", clock=lambda: next(seconds))
    shown: list[str] = []
    log.write = shown.append
    for number in range(KEPT_LINES + 5):
        log.from_child("worker-1", str(number))
    log.flush()
    assert len(shown) == KEPT_LINES + 1
    assert shown[-1] == "5 lines of children were not shown: stderr did not take them"
    log.flush()
    assert len(shown) == KEPT_LINES + 1


def test_a_child_that_prints_without_end_is_cut_short_and_it_is_said() -> None:
    log = Log("text", "mf3k2a9x", clock=lambda: 7.0)
    shown: list[str] = []
    log.write = shown.append
    for number in range(LINES_PER_SECOND + 5):
        log.from_child("worker-1", str(number))
    log.flush(end=True)
    assert len(shown) == LINES_PER_SECOND + 1
    assert shown[-1] == "worker-1: 5 more lines of what it printed not shown"


def test_lines_of_children_hold_no_credential(capsys: pytest.CaptureFixture[str]) -> None:
    for log_format in ("text", "json"):
        log = Log(log_format, "mf3k2a9x", Concealment({"s3cr3t-value": "${API_KEY}"}))
        log.from_child("worker-1", "Authorization: s3cr3t-value")
        log.flush()
        told = capsys.readouterr().err
        assert "Authorization: ${API_KEY}" in told
        assert "s3cr3t" not in told
