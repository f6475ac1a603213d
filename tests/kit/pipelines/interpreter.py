"""What a settings document means, worked out row by row in memory with the plainest means there are.

Nothing here imports the product. A token walks depth first from step to step; aggregations and coalesces that wait are
lists in memory; at the end of the input they let go in the order of the graph.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.kit.oracle.deciding import label_of, setting
from tests.kit.oracle.expressions import Refused, evaluate
from tests.kit.oracle.meanings import BUILT_IN
from tests.kit.oracle.reading import Row, schema
from tests.kit.pipelines.batch_meanings import AGGREGATIONS, MADE_OF, UNFIT, explode

KINDS = ("transforms", "aggregations", "gates", "coalesce")
SOME_REASON = "a reason"
"""What a step refuses a row for is said in the product's own words."""


def comparable(row: Row) -> Row:
    """A row of the product's as the interpreter has it: the words of refusals are not compared."""
    if "_raw" in row:
        return {"_refused": True}
    return {**row, "_error": SOME_REASON} if row.get("_error") and "_node" in row else row


@dataclass
class Token:
    """A row on its way. `forks` are the (parent, branch) pairs it came through, outermost first."""

    id: str
    data: Row
    forks: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Result:
    """What must have come out: rows by sink, the end of every token, parents, and how every batch closed."""

    rows: dict[str, list[Row]]
    ends: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)
    batches: dict[str, tuple[str, str]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)


class Interpreter:
    """One pipeline whose steps all name their `input`, as far as they have one."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.sinks = document["sinks"]
        self.default = document.get("default_sink")
        self.steps: dict[str, dict[str, Any]] = {}
        self.takers: dict[str, str] = {}
        for kind in KINDS:
            for step in document.get(kind) or []:
                self.steps[step["name"]] = {**step, "kind": kind}
                inputs = branches_of(step).values() if kind == "coalesce" else [step["input"]]
                self.takers.update(dict.fromkeys(inputs, step["name"]))
        self.normal_sinks = {self.default} if self.default else self._named_ends()
        self.order = self._topological()
        self.level = self._levels()
        self.result = Result({name: [] for name in self.sinks})
        self.batches: dict[str, list[Token]] = {}
        self.meetings: dict[str, dict[str, dict[str, Token]]] = {name: {} for name in self.steps}
        self.met: set[str] = set()

    # -- the shape -----------------------------------------------------------------------------------------------

    def _named_ends(self) -> set[str]:
        sources = self.sources().values()
        return {step["on_success"] for step in [*sources, *self.steps.values()] if step.get("on_success") in self.sinks}

    def sources(self) -> dict[str, dict[str, Any]]:
        return self.document.get("sources") or {"source": self.document["source"]}

    def following(self, name: str) -> list[str]:
        """The steps to which a step leads."""
        step = self.steps[name]
        targets = [step.get("on_success")] if step["kind"] != "gates" else self._targets_of_gate(step)
        return [self.takers[target] for target in targets if target in self.takers]

    def _targets_of_gate(self, step: dict[str, Any]) -> list[str | None]:
        words = {"continue": [step.get("on_success")], "fork": list(step.get("fork_to") or [])}
        return [target for route in step["routes"].values() for target in words.get(route, [route])]

    def _topological(self) -> list[str]:
        before = Counter(target for name in self.steps for target in self.following(name))
        order: list[str] = []
        while len(order) < len(self.steps):
            name = next(name for name in self.steps if name not in order and not before[name])
            order.append(name)
            before.subtract(self.following(name))
        return order

    def _levels(self) -> dict[str, int]:
        """How often a row has been held before it reaches a step, counted in stages of a hold and of none."""
        level: dict[str, int] = {}
        for name in self.order:
            behind = max((level[other] for other in level if name in self.following(other)), default=0)
            holds = self.waits(name)
            level[name] = behind if behind % 2 == holds else behind + 1
        return level

    def waits(self, name: str) -> bool:
        """Whether rows can wait here for later rows: in an aggregation, and where branches meet that pass one."""
        kind = self.steps[name]["kind"]
        if kind != "coalesce":
            return kind == "aggregations"
        todo = [other for other in self.steps if name in self.following(other)]
        while todo:
            other = todo.pop()
            if self.steps[other]["kind"] == "aggregations" or (
                self.steps[other]["kind"] == "coalesce" and self.waits(other)
            ):
                return True
            if set(self.steps[other].get("fork_to") or []) & set(branches_of(self.steps[name])):
                continue
            todo += [before for before in self.steps if other in self.following(before)]
        return False

    # -- rows ----------------------------------------------------------------------------------------------------

    def run(self, run_id: str, inputs: dict[str, list[Row]]) -> Result:
        """The result of these rows, by source, in a run of this name."""
        index = 0
        for name, source in self.sources().items():
            typed = schema(source["options"].get("schema"))
            for row in inputs[name]:
                token = Token(f"{run_id}-{index:09d}", row)
                index += 1
                valid = typed(row)
                if valid is None:
                    self.refused_row(source, token)
                else:
                    token.data = valid
                    self.leave(source, token)
        for name in sorted(self.order, key=lambda name: (self.level[name], self.order.index(name))):
            if self.steps[name]["kind"] == "aggregations" and self.batches.get(name):
                self.flush(name, "end_of_source")
            elif self.steps[name]["kind"] == "coalesce":
                for parent in list(self.meetings[name]):
                    self.give_up(name, parent)
        return self.result

    def refused_row(self, source: dict[str, Any], token: Token) -> None:
        target = setting(source, "on_validation_failure")
        self.result.errors[token.id] += 1
        if target in self.sinks:
            self.result.rows[target].append({"_refused": True})
            self.result.ends[token.id] = ("quarantined", target)
        else:
            self.result.ends[token.id] = ("discarded" if target else "quarantined", None)

    def leave(self, step: dict[str, Any], token: Token) -> None:
        self.go(step.get("on_success") or self.default, token)

    def go(self, target: str | None, token: Token, *, by_gate: bool = False) -> None:
        if target == "discard":
            self.result.ends[token.id] = ("discarded", None)
        elif target in self.sinks:
            outcome = "routed" if by_gate and target not in self.normal_sinks else "completed"
            self.result.ends[token.id] = (outcome, target)
            self.result.rows[str(target)].append(token.data)
        else:
            self.enter(self.takers[str(target)], token)

    def enter(self, name: str, token: Token) -> None:
        step = self.steps[name]
        {"transforms": self.transform, "gates": self.gate, "aggregations": self.collect, "coalesce": self.meet}[
            step["kind"]
        ](name, step, token)

    def fail(self, step: dict[str, Any], token: Token) -> None:
        target = setting(step, "on_error")
        self.result.errors[token.id] += 1
        if target in self.sinks:
            self.result.rows[target].append({**token.data, "_error": SOME_REASON, "_node": step["name"]})
            self.result.ends[token.id] = ("quarantined", target)
        else:
            self.result.ends[token.id] = ("discarded" if target else "failed", None)

    # -- steps without memory --------------------------------------------------------------------------------------

    def transform(self, name: str, step: dict[str, Any], token: Token) -> None:
        options = step.get("options") or {}
        try:
            if step["plugin"] == "json_explode":
                rows = explode(options, token.data)
            else:
                token.data = BUILT_IN[step["plugin"]](options, token.data)
                self.leave(step, token)
                return
        except Refused:
            self.fail(step, token)
            return
        self.result.ends[token.id] = ("expanded", None)
        children = [Token(f"{token.id}/{n:04d}", row, list(token.forks)) for n, row in enumerate(rows)]
        for child in children:
            self.result.parents[child.id] = [token.id]
        for child in children:
            self.leave(step, child)

    def gate(self, name: str, step: dict[str, Any], token: Token) -> None:
        try:
            label = label_of(evaluate(step["condition"], token.data))
            target = {label_of(key): value for key, value in step["routes"].items()}[label]
        except (Refused, KeyError):
            self.fail(step, token)
            return
        if target != "fork":
            self.go(step.get("on_success") or self.default if target == "continue" else target, token, by_gate=True)
            return
        self.result.ends[token.id] = ("forked", None)
        text = json.dumps(token.data)
        for branch in step["fork_to"]:
            child = Token(f"{token.id}.{branch}", json.loads(text), [*token.forks, (token.id, branch)])
            self.result.parents[child.id] = [token.id]
            self.go(branch, child, by_gate=True)
        for other in self.steps:
            if self.steps[other]["kind"] == "coalesce" and not self.waits(other) and token.id in self.meetings[other]:
                self.give_up(other, token.id)

    # -- steps that wait ---------------------------------------------------------------------------------------------

    def collect(self, name: str, step: dict[str, Any], token: Token) -> None:
        batch = self.batches.setdefault(name, [])
        batch.append(token)
        trigger = step.get("trigger") or {}
        if len(batch) >= trigger.get("count", len(batch) + 1):
            self.flush(name, "count")
        elif "condition" in trigger:
            try:
                if evaluate(trigger["condition"], {**token.data, "batch_count": len(batch)}):
                    self.flush(name, "condition")
            except Refused:
                pass

    def flush(self, name: str, trigger: str) -> None:
        step, batch = self.steps[name], self.batches.pop(name)
        batch_id = f"{batch[0].id}@{name}"
        unfit = [batch[place] for place in self.unfit(step, batch)]
        whole, batch = batch, [token for token in batch if token not in unfit]
        expected = len(batch) if step.get("output_mode") == "passthrough" else step.get("expected_output_count")
        try:
            rows = AGGREGATIONS[step["plugin"]](step.get("options") or {}, [token.data for token in batch])
            if expected not in (None, len(rows)):
                raise Refused("another number of rows")
        except Refused:
            self.result.batches[batch_id] = (trigger, "failed")
            for token in whole:
                self.fail(step, token)
            return
        self.result.batches[batch_id] = (trigger, "completed")
        for token in unfit:
            self.fail(step, token)
        if step.get("output_mode") == "passthrough":
            for token, row in zip(batch, rows, strict=True):
                token.data = row
        else:
            for token in batch:
                self.result.ends[token.id] = ("consumed_in_batch", None)
            members = batch
            batch = [Token(f"{batch_id}/{n:04d}", row) for n, row in enumerate(rows)]
            made_of = MADE_OF[step["plugin"]](step.get("options") or {}, [token.data for token in members])
            for token, places in zip(batch, made_of or [None] * len(batch), strict=True):
                named = [batch_id] if places is None else [members[place].id for place in places]
                self.result.parents[token.id] = named
        for token in batch:
            self.leave(step, token)

    def unfit(self, step: dict[str, Any], batch: list[Token]) -> list[int]:
        refused = UNFIT.get(step["plugin"])
        return refused(step.get("options") or {}, [token.data for token in batch]) if refused else []

    def meet(self, name: str, step: dict[str, Any], token: Token) -> None:
        at = max(n for n, (_, branch) in enumerate(token.forks) if branch in branches_of(step))
        parent, branch = token.forks[at]
        token.forks = token.forks[: at + 1]
        if f"{parent}+{name}" in self.met:
            self.result.ends[token.id] = ("discarded", None)
            return
        arrived = self.meetings[name].setdefault(parent, {})
        arrived[branch] = token
        policy = step.get("policy", "require_all")
        needed = {"first": 1, "quorum": step.get("quorum_count")}.get(policy, len(branches_of(step)))
        if len(arrived) >= needed:
            self.merge(name, parent, policy)

    def give_up(self, name: str, parent: str) -> None:
        step = self.steps[name]
        if step.get("policy") == "best_effort":
            self.merge(name, parent, "end_of_source")
            return
        arrived = self.close(name, parent, "end_of_source", "failed")
        for branch in branches_of(step):
            if branch in arrived:
                self.fail(step, arrived[branch])

    def close(self, name: str, parent: str, trigger: str, status: str) -> dict[str, Token]:
        self.met.add(f"{parent}+{name}")
        if self.waits(name):
            self.result.batches[f"{parent}+{name}"] = (trigger, status)
        return self.meetings[name].pop(parent)

    def merge(self, name: str, parent: str, trigger: str) -> None:
        step = self.steps[name]
        arrived = self.meetings[name][parent]
        present = [branch for branch in branches_of(step) if branch in arrived]
        tokens = [arrived[branch] for branch in present]
        try:
            data = merged(step, {branch: arrived[branch].data for branch in present})
        except Refused:
            self.close(name, parent, trigger, "failed")
            for token in tokens:
                self.fail(step, token)
            return
        self.close(name, parent, trigger, "completed")
        for token in tokens:
            self.result.ends[token.id] = ("coalesced", None)
        one = Token(f"{parent}+{name}", data, tokens[0].forks[:-1])
        self.result.parents[one.id] = [token.id for token in tokens]
        self.leave(step, one)


def branches_of(step: dict[str, Any]) -> dict[str, str]:
    """Branch names and the connections on which they arrive."""
    branches = step["branches"]
    return branches if isinstance(branches, dict) else {branch: branch for branch in branches}


def merged(step: dict[str, Any], rows: dict[str, Row]) -> Row:
    """What a coalesce makes of the rows of its branches."""
    merge = step.get("merge", "union")
    if merge == "nested":
        return dict(rows)
    if merge == "select":
        if step["select_branch"] not in rows:
            raise Refused("not there")
        return rows[step["select_branch"]]
    union: Row = {}
    policy = step.get("union_collision_policy", "last_wins")
    for row in rows.values():
        for key, value in row.items():
            if key in union and policy == "fail" and json.dumps(union[key]) != json.dumps(value):
                raise Refused("they disagree")
            if key not in union or policy == "last_wins":
                union[key] = value
    return union
