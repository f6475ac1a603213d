"""Stand before plugins: what cannot be decided again is taken as it is on record, and noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from elspeth import canonical
from elspeth.execution.executor import Refused
from elspeth.plugins.contract import Aggregation, Context, Made, Row, RowError, SideOutput, Transform, Unfit
from elspeth.runs.replay.answers import NotOnRecord
from elspeth.runs.replay.record import RunRecord, Visit

Missing = tuple[str, str, str, str]
"""A call that is not on record: token or batch, node, name of the call, provider."""


@dataclass(slots=True)
class Taken:
    """What was not decided again: visits by node, calls that would be asked anew, and answers that were not kept."""

    as_recorded: Counter[str] = field(default_factory=Counter)
    not_kept: Counter[str] = field(default_factory=Counter)
    anew: list[Missing] = field(default_factory=list)

    def answer(self, node: str, ask: Callable[[], Any], recorded: Callable[[], Any], *, blindly: bool) -> Any:
        """What a node answers when it is asked; what is on record if that is not to be (`blindly`), or cannot be."""
        if blindly:
            self.as_recorded[node] += 1
            return recorded()
        try:
            return ask()
        except NotOnRecord as missing:
            if missing.kept:
                self.anew.append((missing.place, missing.node, missing.name, missing.provider))
            else:
                self.not_kept[missing.node] += 1
            return recorded()


class ReplayedTransform(Transform):
    """A transform, or, with `blindly` or where it asks what is not on record, what the record says that it answered."""

    def __init__(self, transform: Transform, record: RunRecord, taken: Taken, *, blindly: bool) -> None:
        super().__init__(transform.options)
        self.stands_before = transform
        self._transform, self._record, self._taken, self._blindly = transform, record, taken, blindly

    def process(self, row: Row, ctx: Context) -> Any:
        return self._taken.answer(
            ctx.node_id,
            partial(self._transform.process, row, ctx),
            partial(self._recorded, row, ctx),
            blindly=self._blindly,
        )

    def _recorded(self, row: Row, ctx: Context) -> Any:
        """What is on record; of a row that the node was never given the row's error, which is no decision."""
        record, token = self._record, ctx.token_id
        visit = record.visit(token, ctx.node_id)
        if visit is None or (self._blindly and visit.given not in (None, canonical.sha256(row))):
            if self._blindly:
                self._taken.anew.append((token, ctx.node_id, "", self._transform.name))
            raise Refused("nothing is on record of what this step answers here")
        if visit.status == "failed":
            raise _refusal(visit)
        way = record.way(visit.state_id)
        if way is not None:
            reason = way[1].pop("reason", "")
            return SideOutput(way[0], str(reason), way[1])
        if record.outcome(token) == "expanded":
            products = (record.visit(product, ctx.node_id) for product in record.products(token))
            return [product.data if product and product.data is not None else row for product in products]
        return row if visit.data is None else visit.data


class ReplayedAggregation(Aggregation):
    """The same for an aggregation."""

    def __init__(self, aggregation: Aggregation, record: RunRecord, taken: Taken, *, blindly: bool) -> None:
        super().__init__(aggregation.options)
        self.stands_before = aggregation
        self.counts_batches = aggregation.counts_batches  # type: ignore[misc]  # as that which it stands before
        self._aggregation, self._record, self._taken, self._blindly = aggregation, record, taken, blindly

    def process(self, rows: list[Row], ctx: Context) -> Any:
        return self._taken.answer(
            ctx.node_id,
            partial(self._aggregation.process, rows, ctx),
            partial(self._recorded, rows, ctx),
            blindly=self._blindly,
        )

    def _recorded(self, rows: list[Row], ctx: Context) -> Any:
        record, batch = self._record, ctx.token_id
        closed, members = record.closed(batch), record.members(batch)
        if closed is None or len(members) != len(rows):
            if self._blindly:
                self._taken.anew.append((batch, ctx.node_id, "", self._aggregation.name))
            raise Refused("nothing is on record of what this step answers here")
        visits = [record.visit(member, ctx.node_id) for member in members]
        if closed.status == "failed":
            first = next((visit for visit in visits if visit is not None), None)
            raise _refusal(first) if first is not None else Refused("the batch failed")
        answered: list[Any] = [
            Unfit(place, RowError(str(visit.error.pop("reason", "")), **_besides(visit)))
            for place, visit in enumerate(visits)
            if visit is not None and visit.status == "failed"
        ]
        products = record.products(batch)
        if not products:
            passed = [(row, visit) for row, visit in zip(rows, visits, strict=True) if visit is not None]
            return answered + [
                row if visit.data is None else visit.data for row, visit in passed if visit.status != "failed"
            ]
        places = {member: place for place, member in enumerate(members)}
        for product in products:
            visit, parents = record.visit(product, ctx.node_id), record.parents(product)
            row = visit.data if visit is not None and visit.data is not None else {}
            answered.append(row if parents == [batch] else Made(row, [places[parent] for parent in parents]))
        return answered


def _refusal(visit: Visit) -> Refused:
    return Refused(str(visit.error.get("reason", "refused")), _besides(visit))


def _besides(visit: Visit) -> dict[str, Any]:
    return {name: value for name, value in visit.error.items() if name not in ("node", "reason", "batch")}
