"""The first rows of a pipeline, taken to the steps that ask services: what would be asked, or what is answered.

No run: no database, no output and no state is touched, and nothing is kept of what is asked here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, cast

from elspeth.calls.caller import Visit
from elspeth.calls.errors import CallRefused, RunStops
from elspeth.calls.limits.retry import after, delay, on_unknown
from elspeth.calls.model import Answer, Chat, Exchange, Provider, Request, Terms
from elspeth.clock import utc_now
from elspeth.errors import PersonNeeded, SettingsError
from elspeth.execution import codec
from elspeth.execution.compile import compile_executor
from elspeth.execution.ingest import Ingest
from elspeth.execution.recorder import Recorder
from elspeth.plugins.contract import Changes, Context, Invalid, Source
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.schema import RowSchema, SchemaError, compile_reader

RUN_ID = "trial"
_NOT_ASKED = "not asked: this is a trial"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request about a row (counted from 1), and the last exchange, if it was sent. `cost` is that of all tries."""

    row: int
    node: str
    name: str
    request: Request
    exchange: Exchange | None = None
    cost: Decimal = Decimal(0)


@dataclass(slots=True)
class Trial:
    """What a trial came to: the requests in order, why rows asked nothing (by row), and steps that were not reached."""

    asked: list[Asked] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    behind: tuple[str, ...] = ()

    @property
    def cost(self) -> Decimal:
        """What all calls cost."""
        return sum((each.cost for each in self.asked), Decimal(0))


def try_rows(pipeline: Pipeline, rows: int, *, call: bool) -> Trial:
    """Take the first rows of the first source through the steps in front of what waits for other rows.

    With `call` requests are sent, and tried again as in a run, limits and budget aside. Raises `SettingsError` where
    no step asks anything, `PersonNeeded` where a provider refuses the account, and what inputs raise.
    """
    graph = pipeline.graph
    asking = [node for node in graph.of_kind("transform", "aggregation")
              if isinstance(plugin := pipeline.plugins[node.id], Changes) and plugin.providers()]  # fmt: skip
    if not asking:
        raise SettingsError("no step of this pipeline asks a service", next_step="elspeth run shows what it would do")
    trial = Trial(behind=tuple(node.id for node in asking if node.stage > 0 or graph.stateful[0]))
    if len(trial.behind) == len(asking):
        return trial
    batch = _first_rows(pipeline, rows)
    caller = _Caller(pipeline, trial, call=call)
    recorder = Recorder(last=len(graph.stateful) == 1)
    deciding = {node.id: pipeline.plugins[node.id] for node in graph.of_kind("transform") if node.stage == 0}

    def context(node_id: str) -> Context:
        found = Context(RUN_ID, node_id, headers=pipeline.headers)
        found._caller = caller  # type: ignore[assignment]  # of its methods, the one that is called here
        return found

    for node_id, plugin in deciding.items():
        plugin.setup(context(node_id))
    ingest = Ingest(RUN_ID, graph, compile_executor(graph, 0, deciding, recorder, context))
    try:
        for place in range(len(batch.rows)):
            caller.row = place + 1
            before = len(trial.asked)
            recorder.clear()
            ingest.take(batch, place)
            if len(trial.asked) == before:
                trial.errors[place + 1] = _why(recorder) or "no step that asks a service was reached"
    except RunStops as stops:
        raise stops.error from None
    finally:
        caller.close()
    return trial


def _why(recorder: Recorder) -> str:
    """Why the row ended before it came to a step that asks."""
    errors = [str(record[3]) for record in recorder.records.get("transform_errors", ())]
    return errors[0] if errors else ""


def _first_rows(pipeline: Pipeline, count: int) -> codec.RowBatch:
    node = pipeline.graph.of_kind("source")[0]
    source = cast("Source", pipeline.plugins[node.id])
    pipeline.sources[node.id] = source.describe()
    source.setup(Context(RUN_ID, node.id, state_directory=Path()))
    typed = compile_reader(RowSchema.from_dict(node.schema), source.forms()) if node.schema else None
    batch = codec.RowBatch(node.id, 0, utc_now(), [], {}, None)
    for item, _ in source.read(None):
        if len(batch.rows) == count:
            break
        place = len(batch.rows)
        batch.rows.append(None)
        if isinstance(item, Invalid):
            batch.bad[place] = codec.BadRow(item.raw, item.error, item.line, item.fields)
            continue
        try:
            batch.rows[place] = typed(item) if typed else item
        except SchemaError as error:
            batch.bad[place] = codec.BadRow(str(item), str(error), None, item)
    source.teardown()
    return batch


class _Caller:
    """Answers the calls of plugins: by asking, or by noting what would be asked."""

    def __init__(self, pipeline: Pipeline, trial: Trial, *, call: bool) -> None:
        self.row = 0
        self._trial = trial
        self._call = call
        self._max_tries = pipeline.settings.retry.max_attempts
        self._clients: dict[str, Provider] = {}
        self._pipeline = pipeline

    def call(self, visit: Visit, request: Request, name: str, terms: Terms) -> Answer:
        """Like `elspeth.calls.caller.Caller.call`, without a journal."""
        if not self._call:
            self._trial.asked.append(Asked(self.row, visit.node, name, request))
            raise CallRefused(_NOT_ASKED, {})
        provider = self._provider(request.provider)
        unknown = on_unknown(request, terms.on_unknown, provider.idempotency_header)
        cost, tries = Decimal(0), 0
        while True:
            tries += 1
            exchange = provider.send(request, time.monotonic() + 10**6, f"{RUN_ID}/{utc_now()}")
            cost += terms.price.cost(exchange.usage) if exchange.usage else Decimal(0)
            last = tries >= self._max_tries
            follows = after(exchange, tries, self._max_tries, unknown)
            if follows == "again" and not last:
                time.sleep(delay(exchange, tries, Random(f"{visit.token}/{name}")))
                continue
            self._trial.asked.append(Asked(self.row, visit.node, name, request, exchange, cost))
            if follows == "stop":
                why = f"provider {request.provider} refuses to serve this account: {exchange.message}"
                raise RunStops(PersonNeeded(why, next_step="see to the key or the quota, then try again"))
            if follows != "answer":
                raise CallRefused(exchange.message, {})
            return Answer(exchange=exchange, tries=tries, cost=cost)

    def recorded(self, visit: Visit, name: str, request: Any, function: Callable[[], Any], *_: object) -> Any:
        """A client of a plugin's own is not asked in a trial, which cannot tell what that would cost."""
        raise CallRefused(_NOT_ASKED, {})

    def close(self) -> None:
        """Let go of connections."""
        for client in self._clients.values():
            client.close()

    def _provider(self, name: str) -> Provider:
        if name not in self._clients:
            from elspeth.calls.wire.client import Client  # the network is an extra

            config = self._pipeline.settings.providers[name].config(name)
            self._clients[name] = Client(config, self._pipeline.loaded.concealment)
        return self._clients[name]


def shown(request: Request) -> list[tuple[str, str]]:
    """What is asked, as parts with a heading each."""
    content = request.content
    if isinstance(content, Chat):
        return [(message.role, message.content) for message in content.messages]
    parts = [("request", f"{content.method} {content.path}")]
    for what, value in (("query", content.query), ("headers", content.headers), ("json", content.json),
                        ("form", content.form)):  # fmt: skip
        if value:
            parts.append((what, str(value)))
    return parts
