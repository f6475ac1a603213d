"""What is told of runs, piece by piece: numbers, findings, histories, metrics on a port and in a file."""

from __future__ import annotations

import dataclasses
import http.client
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.identity import Identity
from elspeth.audit.query.counters import Counters
from elspeth.audit.query.values import Attempt, EventRecord, NodeRecord, OperatorAction
from elspeth.coordinator.tally import NodeTally
from elspeth.errors import ElspethError, SettingsError
from elspeth.runs.doctor.findings import Finding, Findings
from elspeth.runs.operate import purge
from elspeth.runs.telemetry import serving
from elspeth.runs.telemetry.serving import CONTENT_TYPE, MetricsServer
from elspeth.runs.telemetry.textfile import MARK, TextFile
from elspeth.runs.views import status
from elspeth.runs.views.history import history
from elspeth.runs.views.report.calls import percentile
from tests.kit.processes.waiting import PATIENCE_SECONDS

RUN = "mf3k2a9x"


def event(
    child: str | None, what: str, detail: str | None = None, attempt: int = 1, pid: int | None = 7
) -> EventRecord:
    return EventRecord(f"{RUN}!{attempt:04d}.{what}", attempt, child, what, pid, detail, "2026-01-01T00:00:00Z")


def attempt(number: int = 1, end_reason: str | None = None, container_id: str | None = None) -> Attempt:
    return Attempt(
        RUN, number, "web-1", "boot", "pid:[1]", 4242, 0.0, 1, container_id, "ada", 1000, "elspeth run", "/lock",
        None, "2026-01-01T00:00:00Z", 0, None, None, end_reason,
    )  # fmt: skip


def told(*events: EventRecord, **more: Any) -> list[str]:
    return [each.sentence for each in history([attempt(**more)], events, [])]


def facts(**found: Any) -> str:
    return json.dumps(found)


@pytest.mark.parametrize(
    ("happened", "sentence"),
    [
        (event("workers", "quarantined", facts(batch="b@n", reason="SIGSEGV")), "batch b@n was set aside: SIGSEGV"),
        (event("workers", "quarantined", facts(token="t", reason="no")), "token t was set aside: no"),
        (event("workers", "quarantined", facts(token="t", sink="out")), "token t at out was set aside: "),
        (event("workers", "quarantined", facts(row_index=0, reason="no")), "row 0 was set aside: no"),
        (event("run", "waiting", facts(seconds=12, waiting_for="x")), "no row finished for 12 s: x"),
        (event("run", "waiting", facts(waiting_for="x")), "no row finished for 0 s: x"),
        (event("run", "stopping"), "stopping"),
        (event("a", "exited", facts(reason="oom")), "a (pid 7) was killed by the kernel: out of memory"),
        (event("a", "exited", facts(reason="fork_server")),
         "a (pid 7) died with the process that children are forked from"),
        (event("a", "exited", "no json"), "a (pid 7) ended with exit code None"),
        (event("a", "exited", "[1]", pid=None), "a ended with exit code None"),
        (event(None, "driver", facts(accepted=["x", "y"])), "what decides was another, and accepted: x; y"),
        (event(None, "in_hand", facts(attempt=2, batches=[{"batch": "b"}], tokens=[{"token": "t", "sink": "o"}])),
         "the flush of batch b and token t at o was in hand when attempt 2 died"),
        (event(None, "in_hand", facts(attempt=2, tokens=[{"token": "t"}])), "token t was in hand when attempt 2 died"),
    ],
)  # fmt: skip
def test_an_event_is_a_sentence(happened: EventRecord, sentence: str) -> None:
    assert told(happened) == [sentence]


@pytest.mark.parametrize("happened", [event("a", "started", facts(pid=7)), event(None, "driver", facts(accepted=[])),
                                      event("a", "something"), event(None, "something")])  # fmt: skip
def test_what_is_worth_no_sentence_is_left_out(happened: EventRecord) -> None:
    assert told(happened) == []


def test_the_end_of_a_run_is_told_with_its_reason_and_its_beginning_with_its_container() -> None:
    assert told(event(None, "failed"), end_reason="the disk is full") == ["the run is failed: the disk is full"]
    assert told(event(None, "failed"), end_reason="failed") == ["the run failed"]
    assert told(event(None, "interrupted", attempt=9)) == ["the run interrupted"]
    assert told(event(None, "started"), container_id="0123456789abcdef") == [
        "attempt 1 began: ada, pid 4242 on web-1 in container 0123456789ab"
    ]
    assert told(event(None, "started", attempt=9)) == []


def test_a_history_is_in_order_and_says_what_operators_did_and_why() -> None:
    def act(at: str, action: str, reason: str | None) -> OperatorAction:
        fields = {"action_id": "x", "run_id": RUN, "user": "ada", "uid": 1, "command_line": "c", "reason": reason,
                  "action": action, "detail": None, "created_at": at}  # fmt: skip
        names = OperatorAction.__dataclass_fields__
        return OperatorAction(**{name: fields.get(name) for name in names})  # type: ignore[arg-type]

    found = history(
        [attempt()], [event("a", "restarted")],
        [act("2027", "purge", None), act("2025", "mark_failed", "no time"), act("2028", "other", None)],
    )  # fmt: skip
    assert [(each.attempt, each.sentence) for each in found] == [
        (None, "given up by ada: no time"), (1, "a (pid 7) was started again"),
        (None, "contents of rows purged by ada"), (None, "other by ada"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "share", "value"),
    [([], 0.5, None), ([3.0], 0.95, 3.0), ([4.0, 1.0, 3.0, 2.0], 0.5, 3.0), ([1.0, 2.0], 0.95, 2.0),
     ([float(n) for n in range(100)], 0.95, 95.0), ([1.0, 2.0], 1.0, 2.0)],
)  # fmt: skip
def test_a_percentile_is_a_value_that_occurred(values: list[float], share: float, value: float | None) -> None:
    assert percentile(values, share) == value


def test_only_what_did_not_go_through_is_trouble() -> None:
    assert status.troubled({"completed": 5, "failed": 2, "discarded": 0, "quarantined": 1}) == {
        "quarantined": 1, "failed": 2,
    }  # fmt: skip


@pytest.mark.parametrize(("rows", "seconds", "rate"), [(10, 4.0, 2.5), (0, 4.0, None), (10, 0.0, None)])
def test_a_rate_is_said_where_it_says_something(rows: int, seconds: float, rate: float | None) -> None:
    run: Any = SimpleNamespace()
    assert status.Summary(run, None, rows, seconds, {}).rows_per_second == rate


def test_tokens_that_wait_are_open() -> None:
    balance = status.Balance(3, 9, {"completed": 4, "buffered": 3, "failed": 1})
    assert (balance.terminal, balance.open) == (5, 4)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [("source", {"read": 5}), ("sink", {"written": 3}), ("transform", {"completed": 3, "failed": 2})],
)
def test_what_a_node_did_is_told_in_its_own_words(kind: str, counts: dict[str, int]) -> None:
    node = NodeRecord(**{name: {"node_id": "n", "node_type": kind, "plugin_name": "p"}.get(name)  # type: ignore[arg-type]
                         for name in NodeRecord.__dataclass_fields__})  # fmt: skip
    counted = Counters(5, 5, 1.0, {}, {}, {"n": NodeTally(5, 2, 1_500_000, 1_000_000)}, {})
    found = status._node(node, counted)
    assert (found.node_id, found.kind, found.plugin, dict(found.counts)) == ("n", kind, "p", counts)
    assert (found.seconds, found.longest_seconds) == (1.5, 1.0)
    assert dict(status._node(node, Counters(0, 0, 0.0, {}, {}, {}, {})).counts) == {}


def test_processes_are_those_of_the_latest_attempt_and_restarts_are_counted() -> None:
    gone = Identity(2**22 - 1, 1.0, "another boot", "n", "h")
    here = json.dumps(dataclasses.asdict(gone))
    events = [
        event("source", "started", here, attempt=1), event("worker-1", "started", here, attempt=2),
        event("worker-1", "restarted", here, attempt=2), event("worker-1", "restarted", here, attempt=2),
        event("sinks", "exited", here, attempt=2),
    ]  # fmt: skip
    main: Any = SimpleNamespace(process=gone)
    run: Any = SimpleNamespace(attempt=2)
    found = status._processes(main, run, events)
    assert [(each.role, each.restarts) for each in found] == [("main", 0), ("worker-1", 2)]
    assert found[0].resident_bytes is None


def test_findings_are_kept_in_order_and_one_that_is_wrong_makes_them_wrong() -> None:
    found = Findings()
    assert found.ask("disk", lambda: "enough room")
    assert found.ask("nothing", lambda: None)
    assert not found.wrong
    found.add("clock", "note", "differs", "by 3 s", next_step="set it")
    assert not found.wrong

    def refuse() -> str:
        raise ElspethError("it is broken", details=["here"], next_step="mend it")

    def missing() -> str:
        raise OSError(2, "No such file or directory", "/x")

    def unnamed() -> str:
        raise OSError(2, "No such file or directory")

    assert not found.ask("base", refuse)
    assert found.wrong
    assert not found.ask("file", missing)
    assert not found.ask("other", unnamed)
    assert list(found) == [
        Finding("disk", "ok", "enough room"), Finding("clock", "note", "differs", ("by 3 s",), "set it"),
        Finding("base", "wrong", "it is broken", ("here",), "mend it"),
        Finding("file", "wrong", "could not be checked: /x: No such file or directory"),
        Finding("other", "wrong", "could not be checked: [Errno 2] No such file or directory"),
    ]  # fmt: skip
    assert next(iter(found)).to_value() == {
        "check": "disk", "level": "ok", "message": "enough room", "details": [], "next_step": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 90 * 86_400), ("12h", 43_200), ("30m", 1_800), ("5s", 5), ("0d", 0)]
)  # fmt: skip
def test_an_age_is_read(text: str, seconds: int) -> None:
    assert purge.age(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "d", "90", "-1d", "1.5d", "9y", "٣d", "1 d"])
def test_what_is_no_age_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(SettingsError, match="is no age") as caught:
        purge.age(text)
    assert "--older-than 90d" in caught.value.next_step


def ended(run_id: str, at: str | None, status: str = "completed", started: str = "2026-01-01T00:00:00.000Z") -> Any:
    return SimpleNamespace(
        run_id=run_id, completed_at=at, started_at=started, status=status, superseded_by=None, attempt=1,
        settings_json="{}", working_directory="/",
    )  # fmt: skip


def test_runs_that_ended_longer_ago_than_asked_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [ended("old", "2026-01-02T00:00:00.000Z"), ended("edge", "2026-01-10T00:00:00.000Z"),
            ended("new", "2026-01-11T00:00:00.000Z"), ended("done", "2026-01-02T00:00:00.000Z"),
            ended("open", None, "interrupted")]  # fmt: skip
    reader: Any = SimpleNamespace(runs=lambda: runs)
    monkeypatch.setattr(purge, "_done", lambda reader, run, whole: run.run_id == "done")
    monkeypatch.setattr(purge, "_candidate", lambda reader, run, whole: (run.run_id, purge._refusal(run)))
    now = datetime(2026, 1, 20, tzinfo=UTC)
    found = purge.candidates(reader, reference=None, older_than=timedelta(days=10), whole=False, now=now)
    assert found == [
        ("old", None), ("open", "has not finished: resume it, or give it up with elspeth doctor --mark-failed"),
    ]  # fmt: skip
    monkeypatch.setattr(purge, "retention", lambda run: None if run.run_id == "old" else timedelta(days=9))
    found = purge.candidates(reader, reference=None, older_than=None, whole=False, now=now)
    assert [run_id for run_id, _ in found] == ["edge", "open"]  # type: ignore[misc]


@pytest.mark.parametrize("whole", [False, True])
def test_a_run_that_is_named_is_meant_unless_nothing_of_it_is_left(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended("old", "2026-01-02T00:00:00.000Z")
    reader: Any = SimpleNamespace(run=lambda reference: run, row_count=lambda run_id: 7, refusal_count=lambda run_id: 3)
    for done, count in ((False, 1), (True, 0)):
        monkeypatch.setattr(purge, "_done", lambda reader, run, whole, done=done: done)
        found = purge.candidates(reader, reference="old", older_than=None, whole=whole)
        assert len(found) == count
    run.status = "running"
    [candidate] = purge.candidates(reader, reference="old", older_than=None, whole=whole)
    assert candidate == purge.Candidate(run, 7, 0 if whole else 3, "has not finished")


def test_metrics_are_a_file_that_is_whole_and_never_somebody_elses(tmp_path: Path) -> None:
    path = tmp_path / "elspeth.prom"
    file = TextFile(path, "elspeth.prom")
    for text in (f"{MARK}rows\n", f"{MARK}more\n"):
        file.write(text)
        assert path.read_text() == text
        assert path.stat().st_mode & 0o777 == 0o644
    path.write_text("")
    file.write(f"{MARK}again\n")
    path.write_text("# HELP node_load1\n")
    with pytest.raises(FileExistsError) as caught:
        file.write(f"{MARK}rows\n")
    assert (caught.value.strerror, caught.value.filename) == ("it is there, and is no file of metrics", "elspeth.prom")
    assert path.read_text() == "# HELP node_load1\n"
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError):
        file.write(f"{MARK}rows\n")
    assert [each.name for each in tmp_path.iterdir()] == ["elspeth.prom"]


def test_a_file_of_metrics_that_cannot_be_put_in_place_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        TextFile(tmp_path / "elspeth.prom", "elspeth.prom").write(f"{MARK}rows\n")
    assert list(tmp_path.iterdir()) == []


def ask(port: int, path: str) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        connection.close()


def test_metrics_are_one_page_on_a_port_which_is_given_back() -> None:
    server = MetricsServer("127.0.0.1", 0, lambda: "rows 3\n")
    try:
        for path in ("/metrics", "/metrics?x=1"):
            assert ask(server.port, path) == (200, CONTENT_TYPE, b"rows 3\n")
        for path in ("/", "/metrics/x"):
            assert ask(server.port, path)[0] == 404
    finally:
        server.close()
    with pytest.raises(OSError):
        ask(server.port, "/metrics")


def test_whoever_asks_beside_many_others_is_sent_away_and_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_AT_ONCE", 1)
    begun, go_on = threading.Event(), threading.Event()

    def page() -> str:
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return "rows 3\n"

    server = MetricsServer("127.0.0.1", 0, page)
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(ask(server.port, "/metrics")[0]))
    try:
        first.start()
        assert begun.wait(PATIENCE_SECONDS)
        assert ask(server.port, "/metrics")[0] == 503
        go_on.set()
        first.join()
        assert answers == [200]
        assert ask(server.port, "/metrics")[0] == 200
    finally:
        go_on.set()
        server.close()
