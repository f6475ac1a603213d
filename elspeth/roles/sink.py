"""The sinks: write micro-batches in order, answer with the outcome of every token, make outputs durable when asked."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Sequence
from typing import Any, cast

from actors.crash_points import crash_point
from elspeth.audit.chain.records import Records
from elspeth.audit.store.commits import record_frames
from elspeth.canonical import JsonObject
from elspeth.clock import utc_now
from elspeth.coordinator.protocol import Flush, Flushed, RestoreSinks, SinksReady, TailCut, Write, Written
from elspeth.execution import codec
from elspeth.execution.codec import SinkItems
from elspeth.execution.counts import Counts, numbers_of
from elspeth.execution.executor import facts_text, with_error
from elspeth.execution.recorder import TIGHT_RECORDS
from elspeth.file_identity import require_apart
from elspeth.graph.model import DISCARD, Node
from elspeth.outputs import SinkState
from elspeth.plugins.contract import ERROR_FIELDS, Sink
from elspeth.roles.flush_mark import OutputMark
from elspeth.roles.plan import decode_plan
from elspeth.roles.plugin_factory import PluginFactory
from elspeth.roles.role import Role

Answer = str | JsonObject | None
"""What became of a row at a sink: None if it was taken, why it was refused, or the evidence that it kills."""


class OpenOutput:
    """A sink of the pipeline: its plugin, and the number of data rows it has taken in this run."""

    def __init__(self, node: Node, plugin: Sink, rows: int) -> None:
        self.node = node
        self.plugin = plugin
        self.rows = rows

    def flush(self) -> JsonObject:
        """Make everything durable; answers this sink's part of the checkpoint."""
        position = self.plugin.flush()
        info = dataclasses.replace(self.plugin.describe(position), rows=self.rows)
        return SinkState(position, info).to_value()


class SinkRole(Role):
    """Holds all outputs of a run and their locks, until the process ends.

    What a sink refuses goes where its `on_write_failure` says; a sink that others divert to is written after them, and
    rows keep the order of the micro-batch in each output.
    """

    def begin(self) -> None:
        plan = decode_plan(self.argument)
        self._run_id = plan.run_id
        self._factory = PluginFactory(plan, self.port.beat)
        self._replace = plan.replace_outputs
        self._other_files = plan.other_files
        self._nodes = _diverting_first(list(plan.graph.of_kind("sink")))
        self._outputs: dict[str, OpenOutput] = {}
        self._counts, self._numbers = Counts(), numbers_of(plan.graph)
        stateful = plan.graph.stateful
        told = plan.flushes if any(stateful) else None
        self._mark = OutputMark(told, len(stateful)) if told is not None else None

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        if isinstance(message, Write):
            self._write(message, codec.decode_sinks(bodies[0]) if bodies and bodies[0] else {})
        elif isinstance(message, Flush):
            self._flush(message.no)
        elif isinstance(message, RestoreSinks):
            self._restore({node: SinkState.from_value(value) for node, value in message.positions.items()})
        self.port.at(-1)

    def _restore(self, states: dict[str, SinkState]) -> None:
        """Return every output to its position in the checkpoint; nothing is cut before all have been checked.

        Whether the run is still ours comes first: after a take-over, outputs that are locked or longer are no damage.
        """
        self._factory.prove()
        plugins = {node.id: cast("Sink", self._factory.build(node)) for node in self._nodes}
        if not self._replace:
            for node_id, plugin in plugins.items():
                plugin.check(states[node_id].position)
        require_apart([path for plugin in plugins.values() for path in plugin.outputs()], self._other_files)
        cuts = []
        for node in self._nodes:
            crash_point("sink.before_restore")
            plugin, state = plugins[node.id], states[node.id]
            for cut in plugin.open(state.position, replace=self._replace):
                cuts.append(TailCut(node.id, **dataclasses.asdict(cut)))
            self._outputs[node.id] = OpenOutput(node, plugin, state.output.rows)
            self.port.beat()
        self.send(SinksReady(tuple(cuts)))
        crash_point("sink.after_restore")

    # -- writing -----------------------------------------------------------------------------------------------

    def _write(self, message: Write, items: dict[str, SinkItems]) -> None:
        crash_point("sink.before_write")
        now = utc_now()
        records: Records = {"token_outcomes": [], "transform_errors": []}
        counts: dict[str, int] = {}
        outcomes: dict[str, int] = {}
        self._counts.clear()
        for node in self._nodes:
            mine = items.get(node.id)
            if mine is None:
                continue
            output = self._outputs[node.id]
            answers = self._answers(output, mine, message)
            taken = self._record(output, mine, answers, records, outcomes, items, now)
            counts[node.id] = taken
        crash_point("sink.after_write")
        if message.end:
            for output in self._outputs.values():
                output.plugin.finish()
            crash_point("sink.after_finish")
        large = sum(map(len, records.values())) >= TIGHT_RECORDS
        self.send(
            Written(message.no, counts, outcomes, self._counts.tally(self._numbers)),
            record_frames.encode(records, tight=large),
        )
        crash_point("sink.after_send")
        if large:
            records.clear()
            items.clear()
            self.slim()

    def _answers(self, output: OpenOutput, items: SinkItems, message: Write) -> Sequence[Answer]:
        sink, mark = output.node.id, self._mark
        if mark is not None and not mark.alone(items.tokens, sink):
            mark = None
        if not message.careful and not message.poison and mark is None:
            return output.plugin.write(items.rows)
        answers: list[Answer] = []
        which = self._nodes.index(output.node)
        for order, token, row in zip(items.order, items.tokens, items.rows, strict=True):
            # A place of its own for each output: where it is diverted to, the item is not to blame yet.
            place = order * len(self._nodes) + which
            conviction = message.poison.get(place)
            if conviction is None and mark is not None:
                conviction = mark.next(message.no, token, sink)
            if conviction is not None:
                reason = f"killed the process that touched it: {conviction.reason}"
                answers.append({**conviction.facts(), "reason": reason, "poison": True})
            else:
                self.port.at(place, message.no)
                answers.extend(output.plugin.write([row]))
        return answers

    def _record(
        self, output: OpenOutput, items: SinkItems, answers: Sequence[Answer], records: Records,
        outcomes: dict[str, int], micro_batch: dict[str, SinkItems], now: str,
    ) -> int:  # fmt: skip
        sink, row_number = output.node.id, output.rows
        done = records["token_outcomes"]
        refused: list[tuple[int, str | JsonObject]] = []
        for place, (answer, token, outcome, error) in enumerate(
            zip(answers, items.tokens, items.outcomes, items.errors, strict=True)
        ):
            if answer is None:
                row_number += 1
                done.append((token + "=", token, outcome, 1, sink, row_number, None, error, now))
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
            else:
                refused.append((place, answer))
        taken = row_number - output.rows
        output.rows = row_number
        self._counts.nodes[sink] = [taken + len(refused), 0, 0, 0]
        if refused:
            self._divert(output, items, refused, records, outcomes, micro_batch, now)
        return taken

    def _divert(
        self, output: OpenOutput, items: SinkItems, refused: list[tuple[int, str | JsonObject]], records: Records,
        outcomes: dict[str, int], micro_batch: dict[str, SinkItems], now: str,
    ) -> None:  # fmt: skip
        node = output.node
        target = node.on_error.node if node.on_error else None
        self._counts.nodes[node.id][1] += len(refused)
        if node.on_error:
            self._counts.leave(node.on_error.edge, len(refused))
        diverted = SinkItems([], [], [], [], [])
        for place, answer in refused:
            token = items.tokens[place]
            facts = {"reason": answer} if isinstance(answer, str) else answer
            error = self.concealment.text(facts_text({"node": node.id, **facts}))
            records["transform_errors"].append((f"{token}>{node.id}!", token, node.id, error, target, now))
            if target is None or target == DISCARD:
                alone = "quarantined" if "poison" in facts else "failed"
                outcome = alone if target is None else "discarded"
                records["token_outcomes"].append((token + "=", token, outcome, 1, None, None, None, error, now))
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
                continue
            diverted.order.append(items.order[place])
            diverted.tokens.append(token)
            diverted.outcomes.append("quarantined")
            diverted.errors.append(error)
            row = items.rows[place]
            if items.outcomes[place] != "quarantined" or ERROR_FIELDS[0] not in row:  # else it keeps the first reason
                row = with_error(self._outputs[target].node, row, node.id, self.concealment.text(str(facts["reason"])))
            diverted.rows.append(row)
        if diverted.order and target is not None:
            micro_batch[target] = _merged(micro_batch.get(target), diverted)

    def _flush(self, no: int) -> None:
        crash_point("sink.before_flush")
        positions = {}
        if len(self._outputs) > 1:
            for output in self._outputs.values():
                output.plugin.begin_flush()
        for output in self._outputs.values():
            positions[output.node.id] = output.flush()
            self.port.beat()
        crash_point("sink.after_flush")
        self.send(Flushed(no, positions))
        crash_point("sink.after_flushed")

    def on_stop(self) -> None:
        for output in self._outputs.values():
            output.plugin.close()
            output.plugin.teardown()


def _diverting_first(nodes: list[Node]) -> list[Node]:
    """The sinks in an order in which nobody diverts to one that was written before."""
    ordered: list[Node] = []
    by_id = {node.id: node for node in nodes}

    def place(node: Node) -> None:
        if node in ordered:
            return
        for other in nodes:
            if other.on_error is not None and other.on_error.node == node.id:
                place(other)
        ordered.append(by_id[node.id])

    for node in nodes:
        place(node)
    return ordered


def _merged(own: SinkItems | None, diverted: SinkItems) -> SinkItems:
    """Two lists of items as one, in the order of the micro-batch."""
    if own is None:
        return diverted
    pairs = heapq.merge(
        ((order, 0, place) for place, order in enumerate(own.order)),
        ((order, 1, place) for place, order in enumerate(diverted.order)),
    )
    merged = SinkItems([], [], [], [], [])
    for order, which, place in pairs:
        items = diverted if which else own
        merged.order.append(order)
        merged.tokens.append(items.tokens[place])
        merged.outcomes.append(items.outcomes[place])
        merged.errors.append(items.errors[place])
        merged.rows.append(items.rows[place])
    return merged
