"""`ctx.recorded`: a client of a plugin's own, asked once for a row whatever dies, and all of it on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth import canonical
from elspeth.calls.caller import Caller, Outside
from elspeth.calls.errors import RunStops
from elspeth.calls.journal.journal import Journal, journal_folder
from elspeth.calls.journal.storage import Disk, stem_of
from elspeth.calls.made import CallMade, records_of, redacted, totals_of
from elspeth.plugins.contract import Context, RowError, TransientError

RUN, ROW = "mf3k2a9x", "mf3k2a9x-000000001"


class Process:
    """A process that decides rows, or its successor: they have the folder in common."""

    def __init__(self, folder: Path, conceal: Callable[[str], str] = str, attempt: int = 1) -> None:
        self.waits: list[bool] = []
        journal = Journal(Disk(journal_folder(folder, RUN), stem_of(attempt, "worker-1")), RUN, attempt, "worker-1")
        self.made: list[CallMade] = []
        desk: Any = None  # what a plugin asks by a client of its own needs no leave
        self.ctx = Context(RUN, "ask", ROW)
        self.ctx._caller = Caller(journal, Outside(self.waits.append), conceal, desk, {}, 3)
        self.ctx._note = self.made.append

    @property
    def statuses(self) -> list[str]:
        return [record[4] for record in records_of(f"{ROW}:0", self.made)]


def answers(value: Any, asked: list[int] | None = None) -> Callable[[], Any]:
    def function() -> Any:
        if asked is not None:
            asked.append(1)
        return value

    return function


def dies() -> Any:
    raise KeyboardInterrupt  # nothing that is caught, as when the process is killed


def test_an_answer_is_asked_for_once_and_the_same_after_a_death(tmp_path: Path) -> None:
    asked: list[int] = []
    value = {"z": 1, "a": [1.5, None, {"é": 2**70}]}
    found = [Process(tmp_path).ctx.recorded("score", {"id": 1}, answers(value, asked)) for _ in range(3)]
    assert asked == [1]
    assert [json.dumps(each) for each in found] == [json.dumps(value)] * 3  # the order of keys, too


def test_another_name_another_request_another_row_are_other_calls(tmp_path: Path) -> None:
    asked: list[int] = []
    process = Process(tmp_path)
    process.ctx.recorded("a", {"id": 1}, answers(1, asked))
    process.ctx.recorded("b", {"id": 1}, answers(1, asked))
    process.ctx.recorded("a", {"id": 2}, answers(1, asked))
    process.ctx.token_id = "mf3k2a9x-000000002"
    process.ctx.recorded("a", {"id": 1}, answers(1, asked))
    assert len(asked) == 4


def test_a_death_in_between_is_unknown_and_asked_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Process(tmp_path).ctx.recorded("score", {"id": 1}, dies)
    after = Process(tmp_path)
    assert after.ctx.recorded("score", {"id": 1}, answers(7)) == 7
    assert after.statuses == ["unknown", "answered"]
    totals = totals_of(after.made)["score"]
    assert (totals.exchanges, totals.answered, totals.unknown) == (2, 1, 1)


def test_a_death_in_between_refuses_the_row_where_it_is_not_to_be_asked_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Process(tmp_path).ctx.recorded("score", {"id": 1}, dies, on_unknown="fail")
    for _ in range(2):
        after = Process(tmp_path)
        with pytest.raises(RowError, match="nobody here knows whether it was carried out") as refused:
            after.ctx.recorded("score", {"id": 1}, answers(7), on_unknown="fail")
        assert refused.value.details["call"] == "score"
        assert after.statuses == ["unknown"]


def test_a_row_error_is_an_answer_and_any_other_is_not(tmp_path: Path) -> None:
    def refuses() -> Any:
        raise RowError("no such customer", id=17)

    with pytest.raises(RowError, match="no such customer"):
        Process(tmp_path).ctx.recorded("score", {"id": 1}, refuses)
    with pytest.raises(RowError, match="no such customer") as again:
        Process(tmp_path).ctx.recorded("score", {"id": 1}, answers(7))
    assert again.value.details == {"id": 17}
    for error in (TransientError("busy"), OSError("cut")):

        def fails(error: Exception = error) -> Any:
            raise error

        name, process = type(error).__name__, Process(tmp_path)
        with pytest.raises(type(error)):
            process.ctx.recorded(name, {"id": 1}, fails)
        assert process.ctx.recorded(name, {"id": 1}, answers(7)) == 7
        assert process.statuses == ["refused", "answered"]


def test_an_exchange_is_among_the_records_of_a_row_once(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.ctx.recorded("score", {"id": 1}, answers(7))
    process.ctx.recorded("score", {"id": 1}, answers(8))
    assert process.statuses == ["answered"]


def test_the_record_has_what_was_asked_and_answered_and_their_hashes(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.ctx.recorded("score", {"b": 1, "a": "x"}, answers({"score": 3}))
    [record] = records_of(f"{ROW}:0", process.made)
    call, state, index, kind, status, asked_hash, asked, answered_hash, answered, took, at = record
    assert (call, state, index, kind, status) == (f"{ROW}:0#000", f"{ROW}:0", 0, "recorded", "answered")
    assert asked == '{"a":"x","b":1}'
    assert canonical.sha256(json.loads(asked)) == asked_hash
    facts = json.loads(answered)
    assert canonical.sha256(facts) == answered_hash
    assert (facts["provider"], facts["try"], facts["text"]) == ("score", 1, '{"score":3}')
    assert facts["sent"] == at
    assert took >= 0


def test_credentials_are_in_no_record_and_in_no_journal(tmp_path: Path) -> None:
    process = Process(tmp_path, lambda text: text.replace("hunter2", "${KEY}"))
    found = process.ctx.recorded("score", {"key": "hunter2"}, answers("your key is hunter2"))
    assert found == "your key is ${KEY}"  # and so it is when the row is decided again
    assert Process(tmp_path, lambda text: text.replace("hunter2", "${KEY}")).ctx.recorded(
        "score", {"key": "hunter2"}, dies
    ) == "your key is ${KEY}"  # fmt: skip
    with pytest.raises(OSError, match="hunter2"):
        process.ctx.recorded("other", {"id": 1}, _raises_with_key)
    for file in journal_folder(tmp_path, RUN).iterdir():
        assert b"hunter2" not in file.read_bytes()
    assert "hunter2" not in repr(list(records_of(ROW, process.made)))


def _raises_with_key() -> Any:
    raise OSError("hunter2")


def test_who_waits_is_not_hung(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.ctx.recorded("score", {"id": 1}, lambda: process.waits[-1])
    assert process.waits == [True, False]


def test_a_disk_that_refuses_is_no_rows_fault(tmp_path: Path) -> None:
    process = Process(tmp_path)
    (tmp_path / "calls").write_text("no folder")
    with pytest.raises(RunStops) as stops:
        process.ctx.recorded("score", {"id": 1}, answers(7))
    assert stops.value.error.exit_code == 75


def test_what_json_cannot_hold_is_the_rows_error(tmp_path: Path) -> None:
    process = Process(tmp_path)
    with pytest.raises(ValueError, match=r"."):
        process.ctx.recorded("score", {"id": object()}, answers(7))
    with pytest.raises(ValueError, match=r"."):
        process.ctx.recorded("score", {"id": 1}, answers(object()))
    assert process.statuses == ["refused"]


def test_sources_and_sinks_make_no_calls() -> None:
    with pytest.raises(RuntimeError, match="transform or an aggregation"):
        Context(RUN, "out", _calls=False).recorded("score", {}, answers(7))
    assert Context(RUN, "ask").recorded("score", {}, answers(7)) == 7  # in a test, without a run


def test_what_is_redacted_keeps_its_shape() -> None:
    found = redacted({"provider": "main", "messages": [{"role": "user", "content": "secret"}], "n": 3})
    assert found["provider"] == "main"
    assert found["messages"][0]["role"] == "user"
    assert found["messages"][0]["content"].startswith("[6 characters, SHA-256 ")
    assert found["n"] == 3
