"""`ctx.call`: what is known is used again, what is sent is written down first; what came of it decides what follows."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from elspeth.calls.caller import Caller, Lease, Outside
from elspeth.calls.errors import RunStops
from elspeth.calls.journal.journal import Journal, journal_folder, left_behind
from elspeth.calls.journal.storage import Disk, stem_of
from elspeth.calls.made import CallMade, records_of, totals_of
from elspeth.calls.model import Answer, Chat, Exchange, Http, Message, Price, Request, Terms, Usage
from elspeth.calls.totals import CallTotals
from elspeth.errors import ElspethError
from elspeth.plugins.contract import Context, RowError

RUN, ROW = "mf3k2a9x", "mf3k2a9x-000000001"
QUESTION = Chat(model="m", messages=(Message("user", "secret words"),))
TERMS = Terms(price=Price(input_per_million=Decimal(10**6), per_call=Decimal("0.5")), expected=Usage(100, 50))

YES = Exchange(outcome="answered", text="yes", usage=Usage(3, 2), status=200)
BUSY = Exchange(outcome="retry_later", reason="rate_limited", message="later", status=429, everybody=True)
BROKEN = Exchange(outcome="retry_later", reason="server_error", message="500", status=500, failure=True)
CUT = Exchange(outcome="unknown", reason="cut_body", message="the answer was cut", failure=True)
NO_ROUTE = Exchange(outcome="never_sent", reason="refused_connection", message="nobody listens", failure=True)
BAD = Exchange(outcome="refused", reason="bad_request", message="no such model", status=400)
NO_KEY = Exchange(outcome="stop", reason="wrong_key", message="that key is none", status=401)


class Killed(BaseException):
    """The process is gone in the middle of a call."""


class Process:
    """A process with one account, which answers what it is told to; None: it dies before there is an answer."""

    idempotency_header: str | None = None
    name = "main"

    def __init__(
        self, folder: Path, *answers: Exchange | None, attempt: int = 1, header: str | None = None, lost_before: int = 0
    ) -> None:
        self.answers = list(answers)
        self.idempotency_header = header
        self.keys: list[str] = []
        self.desk: list[Any] = []
        self.slept: list[float] = []
        self.journal = Journal(
            Disk(journal_folder(folder, RUN), stem_of(attempt, "worker-1")), RUN, attempt, "worker-1", lost_before
        )
        self.caller = Caller(self.journal, Outside(lambda _: None), str, self, {"main": lambda: self}, 3)
        self.caller._pause = self.slept.append  # type: ignore[method-assign]
        self.made: list[CallMade] = []
        self.ctx = Context(RUN, "ask", ROW)
        self.ctx._caller, self.ctx._note = self.caller, self.made.append

    # the provider
    def send(self, request: Request, deadline: float, idempotency_key: str) -> Exchange:
        self.keys.append(idempotency_key)
        answer = self.answers.pop(0)
        if answer is None:
            raise Killed
        return answer

    def close(self) -> None:
        pass

    # the desk
    def ask(self, provider: str, tokens: int, cost: Decimal, model: str = "") -> Lease:
        self.desk.append(("asked", tokens, cost))
        return Lease(len(self.desk))

    def end(self, lease: Lease, exchange: Exchange, cost: Decimal, stops: ElspethError | None = None) -> None:
        assert (stops is not None) == (exchange.outcome == "stop")
        self.desk.append(("ended", exchange.outcome, cost))

    def call(self, content: Chat | Http = QUESTION, terms: Terms = TERMS) -> Answer:
        return self.ctx.call("main", content, terms=terms)

    @property
    def records(self) -> list[tuple[Any, ...]]:
        return list(records_of(f"{ROW}:0", self.made))

    @property
    def statuses(self) -> list[str]:
        return [record[4] for record in self.records]


def test_an_answer_is_sent_for_once_and_costs_once(tmp_path: Path) -> None:
    first = Process(tmp_path, YES)
    found = first.call()
    assert (found.text, found.origin, found.tries, found.cost) == ("yes", "sent", 1, Decimal("3.5"))
    assert first.desk == [("asked", 150, Decimal("100.5")), ("ended", "answered", Decimal("3.5"))]
    again = Process(tmp_path, attempt=2)
    found = again.call()
    assert (found.text, found.origin, found.cost) == ("yes", "journal", Decimal("3.5"))
    assert again.desk == []
    assert again.statuses == ["answered"]
    assert Process(tmp_path).call().text == "yes"


def test_what_was_paid_and_is_in_no_commit_is_known_to_the_budget(tmp_path: Path) -> None:
    process = Process(tmp_path, YES, BROKEN, None)
    process.call()
    process.ctx.recorded("own", {}, lambda: 1)
    process.ctx.token_id = "mf3k2a9x-000000007"
    with pytest.raises(Killed):
        process.call()
    folder = journal_folder(tmp_path, RUN)
    whole = left_behind(folder, RUN, 0)
    assert (whole.exchanges, whole.unknown, whole.cost) == (3, 1, Decimal("104.0"))
    rest = left_behind(folder, RUN, 2)
    assert (rest.exchanges, rest.cost) == (2, Decimal("100.5"))
    assert left_behind(folder, RUN, 8) == left_behind(tmp_path / "no such folder", RUN, 0) == CallTotals()


@pytest.mark.parametrize("trouble", [BROKEN, BUSY, CUT, NO_ROUTE])
def test_what_may_be_tried_again_is_and_each_exchange_is_on_record(tmp_path: Path, trouble: Exchange) -> None:
    process = Process(tmp_path, trouble, YES)
    assert process.call().tries == 2
    assert process.statuses == [trouble.outcome, "answered"]
    assert [json.loads(record[8])["try"] for record in process.records] == [1, 2]
    assert len(set(process.keys)) == 1
    assert len(process.slept) == (0 if trouble is BUSY else 1)  # the pause of all is the account's affair


def test_tries_come_to_an_end_and_the_row_is_refused_with_the_reason(tmp_path: Path) -> None:
    process = Process(tmp_path, BROKEN, BROKEN, BROKEN)
    with pytest.raises(RowError, match="500") as refused:
        process.call()
    assert refused.value.details["tries"] == 3
    assert refused.value.details["why"] == "server_error"
    again = Process(tmp_path)
    with pytest.raises(RowError, match="500"):
        again.call()
    assert again.keys == []


def test_a_pause_of_everybody_spends_no_tries(tmp_path: Path) -> None:
    assert Process(tmp_path, *[BUSY] * 7, YES).call().tries == 8


def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    for answers in ((BAD,), ()):
        with pytest.raises(RowError, match="no such model"):
            Process(tmp_path, *answers).call()


def test_a_death_in_between_is_unknown_counts_at_its_estimate_and_is_asked_again_with_the_same_key(
    tmp_path: Path,
) -> None:
    keys = []
    for _ in range(5):  # more often than a row has tries: a death is not its fault
        process = Process(tmp_path, None)
        with pytest.raises(Killed):
            process.call()
        keys += process.keys
    after = Process(tmp_path, YES)
    assert after.call().tries == 6
    assert after.statuses == ["unknown"] * 5 + ["answered"]
    assert len({*keys, *after.keys}) == 1
    totals = totals_of(after.made)["main"]
    assert (totals.unknown, totals.cost) == (5, 5 * Decimal("100.5") + Decimal("3.5"))


@pytest.mark.parametrize(
    ("content", "terms", "header", "again"),
    [
        (QUESTION, TERMS, None, True),
        (Http(method="GET", path="/x"), TERMS, None, True),
        (Http(method="PUT", path="/x"), TERMS, None, True),
        (Http(method="POST", path="/x"), TERMS, None, False),
        (Http(method="PATCH", path="/x"), TERMS, None, False),
        (Http(method="POST", path="/x"), TERMS, "Idempotency-Key", True),
        (Http(method="POST", path="/x"), Terms(on_unknown="retry"), None, True),
        (QUESTION, Terms(on_unknown="fail"), None, False),
    ],
)
def test_what_may_have_been_carried_out_is_asked_again_only_where_that_harms_nobody(
    tmp_path: Path, content: Chat | Http, terms: Terms, header: str | None, again: bool
) -> None:
    with pytest.raises(Killed):
        Process(tmp_path, None, header=header).call(content, terms)
    after = Process(tmp_path, YES, header=header)
    if again:
        assert after.call(content, terms).text == "yes"
        return
    with pytest.raises(RowError, match="nobody here knows whether it was carried out") as refused:
        after.call(content, terms)
    assert after.keys == []
    assert refused.value.details["sent"]
    assert after.statuses == ["unknown"]


def test_an_intent_is_durable_before_it_is_sent_where_nothing_may_be_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for on_unknown, expected in (("retry", [False]), ("fail", [True])):
        process = Process(tmp_path / on_unknown, YES)
        durable: list[bool] = []
        real = process.journal.intend

        def intend(intent: Any, *, durable: bool, real: Any = real, seen: list[bool] = durable) -> Any:
            seen.append(durable)
            return real(intent, durable=durable)

        monkeypatch.setattr(process.journal, "intend", intend)
        process.call(terms=Terms(on_unknown=on_unknown))  # type: ignore[arg-type]
        assert durable == expected


def test_a_key_that_is_refused_stops_the_run_and_another_key_is_asked_with(tmp_path: Path) -> None:
    with pytest.raises(RunStops) as stops:
        Process(tmp_path, NO_KEY).call()
    assert stops.value.error.exit_code == 12
    assert "that key is none" in stops.value.error.message
    after = Process(tmp_path, YES, attempt=2)
    assert after.call().text == "yes"
    assert after.statuses == ["stop", "answered"]


def test_records_say_as_much_as_the_step_asks_for(tmp_path: Path) -> None:
    for record, words in (("full", True), ("hash", False), ("redact", False)):
        process = Process(tmp_path / record, Exchange(outcome="answered", text="a secret answer", model="m-1"))
        process.call(terms=Terms(record=record, price=TERMS.price))  # type: ignore[arg-type]
        [told] = process.records
        facts = json.loads(told[8])
        assert ("secret" in told[8]) is words
        assert (told[6] is not None) is words
        assert (facts["provider"], facts["model"], facts["price"]["per_call"]) == ("main", "m-1", "0.5")
        assert len(told[5]) == len(told[7]) == 64
        assert ("request" in facts) is (record == "redact")


def test_a_provider_that_is_not_there_is_no_rows_fault(tmp_path: Path) -> None:
    with pytest.raises(RunStops, match="there is no provider 'other'"):
        Process(tmp_path).ctx.call("other", QUESTION)


def test_nothing_is_sent_once_the_process_is_to_end(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.caller.drain(0.0)
    assert process.caller._stopping


@pytest.mark.parametrize("content", [QUESTION, Http(method="POST", path="/score")])
def test_what_a_journal_on_another_machine_may_hold_is_unknown(tmp_path: Path, content: Chat | Http) -> None:
    far = Process(tmp_path / "far", YES, YES)
    far.call(content)
    here = Process(tmp_path / "here", YES, attempt=2, lost_before=1_000)
    if content is QUESTION:
        assert here.call(content).tries == 2
        assert here.statuses == ["unknown", "answered"]
    else:
        with pytest.raises(RowError, match="an earlier attempt may have sent it on a machine"):
            here.call(content)
        assert (here.statuses, here.keys) == (["unknown"], [])
    here.ctx.token_id = "mf3k2a9x-000001000"
    here.answers = [YES]
    assert here.call(content).tries == 1


def test_what_is_unknown_stays_it_for_whoever_takes_the_row_next(tmp_path: Path) -> None:
    here = Process(tmp_path, None, attempt=2, lost_before=1_000)
    with pytest.raises(Killed):
        here.call()
    next_one = Process(tmp_path, YES, attempt=3)
    assert next_one.call().tries == 3
    assert next_one.statuses == ["unknown", "unknown", "answered"]
