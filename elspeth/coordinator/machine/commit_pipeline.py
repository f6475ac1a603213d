"""Released micro-batches on their way through ordered stages and sinks to a commit: the machine's second half."""

from __future__ import annotations

from msgspec import UNSET, structs

from elspeth.calls import totals
from elspeth.calls.totals import Totals
from elspeth.canonical import JsonObject
from elspeth.coordinator import events as ev
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition, counted
from elspeth.coordinator.in_flight import Barrier, ChunkSlice, Consumer, MicroBatch
from elspeth.coordinator.names import AUDIT, SINKS, stage_name
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.protocol import (
    Commit,
    Flush,
    MicroBatchRecords,
    RestoreSinks,
    RestoreStage,
    StageWork,
    Write,
)
from elspeth.coordinator.tally import NOTHING, Tally

TALLY_ROWS = 256
"""After so many rows at the latest a checkpoint has its tally, however slowly they come: who reads counts the rest."""


def _add(into: dict[str, int], more: dict[str, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count


class CommitPipeline:
    """Micro-batches, consumers and barriers. `durable` is the checkpoint that was committed last."""

    def __init__(self, policy: Policy, stateful: tuple[bool, ...], checkpoint: Checkpoint) -> None:
        self._policy = policy
        self._stateful = stateful
        self.durable = checkpoint
        self.consumers = {stage_name(k): Consumer(stage_name(k), k) for k, ordered in enumerate(stateful) if ordered}
        self.consumers[SINKS] = Consumer(SINKS, len(stateful))
        self.micro_batches: dict[int, MicroBatch] = {}
        self.barriers: list[Barrier] = []
        self._released_no = self._complete_no = checkpoint.micro_batch
        self._released_rows = checkpoint.row_count
        self._sources = dict(checkpoint.source_positions)
        self.at_split_point = True
        self._rows_since_split_point = 0
        self._ended = False
        self._for_workers: list[MicroBatch] = []
        self._audit_up = True
        self._audit_next = checkpoint.micro_batch + 1
        self._aggregated = False
        self.commit_due = False
        self.complete = False
        self.rows_in_flight = 0
        self.bytes_in_flight = 0
        self.rows_done = checkpoint.row_count
        self.outcomes: dict[str, int] = dict(checkpoint.outcome_counts)
        self.written_rows: dict[str, int] = dict(checkpoint.written_counts)
        self.calls: Totals = dict(checkpoint.call_totals or {})
        self.tally: Tally = checkpoint.tally or NOTHING
        self._tally_stored: int | None = None  # rows of the last checkpoint that was stored with its tally

    # -- release -----------------------------------------------------------------------------------------------

    def release(self, chunk_slice: ChunkSlice, active_seconds: float) -> None:
        """Take a decided slice as the next micro-batch."""
        rows = chunk_slice.stop - chunk_slice.start
        self._add_micro_batch(rows, chunk_slice.size, active_seconds, end=chunk_slice.last, items=chunk_slice.items)
        micro_batch = self.micro_batches[self._released_no]
        if chunk_slice.records is not None:
            micro_batch.records.append(chunk_slice.records)
        micro_batch.outcomes = chunk_slice.outcomes
        micro_batch.calls, micro_batch.tally = chunk_slice.calls, chunk_slice.tally
        split_point = chunk_slice.split_point()
        self.at_split_point = split_point is not None
        if split_point is not None:
            before = self._sources.get(chunk_slice.source, SourcePosition())
            self._sources[chunk_slice.source] = SourcePosition(
                split_point.cursor, split_point.proof, before.row_count + self._rows_since_split_point + rows,
                chunk_slice.ended, chunk_slice.offset,
            )  # fmt: skip
            self._rows_since_split_point = 0
        else:
            self._rows_since_split_point += rows
        if chunk_slice.last:
            self._ended = True

    def tick(self, active_seconds: float) -> None:
        """Release an empty micro-batch in which time-outs may fire."""
        if not self._ended:
            self._add_micro_batch(0, 0, active_seconds, tick=True)

    def _add_micro_batch(
        self,
        rows: int,
        size: int,
        active_seconds: float,
        *,
        tick: bool = False,
        end: bool = False,
        items: object = None,
    ) -> None:
        self._released_no += 1
        self._released_rows += rows
        micro_batch = MicroBatch(self._released_no, rows, self._released_rows, size, active_seconds, tick=tick, end=end)
        micro_batch.inputs[1] = items
        self.micro_batches[micro_batch.no] = micro_batch
        self.rows_in_flight += rows
        self.bytes_in_flight += size

    @property
    def quiet(self) -> bool:
        """Whether the sinks have all that was released."""
        return self._complete_no == self._released_no

    # -- stages and sinks ----------------------------------------------------------------------------------------

    def micro_batches_for_workers(self) -> list[MicroBatch]:
        """Micro-batches that have become ready for a stateless stage since the last call."""
        ready, self._for_workers = self._for_workers, []
        return ready

    def stage_passed(self, event: ev.StagePassed) -> None:
        done = event.done
        micro_batch = self.micro_batches.get(done.no)
        if micro_batch is None or micro_batch.stage != done.stage:
            return  # answered a second time after a restore
        micro_batch.records.extend(event.records)
        _add(micro_batch.outcomes, done.outcomes)
        totals.add(micro_batch.calls, done.calls)
        micro_batch.tally += done.tally
        if done.first_row is not None and done.first_row < micro_batch.row_end - micro_batch.rows:
            micro_batch.own_rows = False
        self._aggregated |= done.flushed
        if not self._stateful[done.stage]:
            del micro_batch.inputs[done.stage]
        micro_batch.stage += 1
        micro_batch.alone = micro_batch.seen = False
        micro_batch.entering = done.leaving
        micro_batch.inputs[micro_batch.stage] = event.items
        if micro_batch.stage < len(self._stateful) and not self._stateful[micro_batch.stage]:
            self._for_workers.append(micro_batch)

    def written(self, event: ev.MicroBatchWritten) -> None:
        micro_batch = self.micro_batches.get(event.written.no)
        if micro_batch is None or micro_batch.complete:
            return
        micro_batch.records.append(event.records)
        _add(micro_batch.outcomes, event.written.outcomes)
        micro_batch.tally += event.written.tally
        micro_batch.sinks = event.written.sinks
        micro_batch.complete = True
        self._complete_no = micro_batch.no  # sinks take them in order
        self.rows_done = micro_batch.row_end
        _add(self.outcomes, micro_batch.outcomes)
        _add(self.written_rows, micro_batch.sinks)
        totals.add(self.calls, micro_batch.calls)
        self.tally += micro_batch.tally

    def consumer_started(self, name: str) -> None:
        self.consumers[name].restoring = True

    def consumer_up(self, name: str) -> None:
        consumer = self.consumers[name]
        consumer.up = True
        consumer.next_no = self.durable.micro_batch + 1

    def consumer_died(self, event: ev.Died, *, counted: bool = True) -> list[ev.Command]:
        """Its process is gone: barriers that wait for it are taken back; what it had is kept and sent again.

        Unless the death is `counted`, a worker's row is to blame for it.
        """
        consumer = self.consumers[event.child]
        if consumer.up:
            consumer.careful_no = consumer.next_no - 1
        consumer.up = consumer.restoring = False
        self._take_back()
        micro_batch = self.micro_batches.get(event.detail)
        # What it has answered once is decided: a second look that kills is no reason to decide otherwise.
        decided = event.position < 0 or micro_batch is None or micro_batch.passed(consumer.stage)
        if decided or event.memory or not counted:
            return [ev.Restart(event.child, counted)]
        assert micro_batch is not None
        restart = ev.Restart(event.child, counted=False)
        if not micro_batch.blame(consumer.stage, event.position, event.suspicion, self._policy.poison_attempts):
            return [restart]
        return [ev.Convicted(None, micro_batch.poison[consumer.stage][event.position]), restart]

    def _take_back(self) -> None:
        """Forget the barriers that are not with audit: they mention what is about to be restored."""
        kept = [barrier for barrier in self.barriers if barrier.commit_sent]
        self.commit_due |= len(kept) < len(self.barriers)
        self.barriers = kept

    # -- commits -----------------------------------------------------------------------------------------------

    def place_barrier(self, *, wanted: bool) -> None:
        """Put a barrier behind the micro-batch released last, if a commit is due and there is room for one more.

        One barrier may wait for the consumers while another is with audit: output and database work at the same time,
        and everything that becomes ready meanwhile shares the next commit.
        """
        last = self.barriers[-1] if self.barriers else None
        behind = last.no if last else self.durable.micro_batch
        if self._released_no == behind or not self.at_split_point:
            return
        if len(self.barriers) > 1 or (last is not None and not last.commit_sent):
            return
        policy = self._policy
        rows = self._released_rows - (last.row_end if last else self.durable.row_count)
        due = (
            wanted
            or self.commit_due
            or self._ended
            or rows >= policy.commit_rows()
            or (policy.frequency != "every_n" and self._aggregated)
            or self.bytes_in_flight >= policy.max_bytes
        )
        if due:
            self._aggregated = self.commit_due = False
            micro_batch = self.micro_batches[self._released_no]
            self.barriers.append(
                Barrier(
                    self._released_no,
                    self._released_rows,
                    dict(self._sources),
                    micro_batch.active_seconds,
                    final=self._ended,
                )
            )

    def flushed(self, no: int, positions: dict[str, JsonObject]) -> None:
        for barrier in self.barriers:
            if barrier.no == no and not barrier.commit_sent:
                barrier.positions = positions

    def state_answered(self, no: int, stage: int, state: JsonObject) -> None:
        for barrier in self.barriers:
            if barrier.no == no and not barrier.commit_sent:
                barrier.states[stage] = state

    def audit_down(self) -> None:
        self._audit_up = False

    def audit_owns(self, no: int) -> None:
        """Audit says what is committed: commits up to `no` have happened, later ones have not and are sent again."""
        for barrier in list(self.barriers):
            if barrier.commit_sent and barrier.no <= no:
                self.committed(barrier.no)
        for barrier in self.barriers:
            barrier.commit_sent = False
        if not all(consumer.up for consumer in self.consumers.values()):
            self._take_back()
        self._audit_up = True
        self._audit_next = self.durable.micro_batch + 1

    def committed(self, no: int) -> None:
        while self.barriers and self.barriers[0].no <= no:
            barrier = self.barriers.pop(0)
            if barrier.checkpoint is not None:
                self.durable = barrier.checkpoint
                if barrier.tally_stored:
                    self._tally_stored = barrier.row_end
            self.complete = barrier.final
        for micro_batch_no in [key for key in self.micro_batches if key <= no]:
            micro_batch = self.micro_batches.pop(micro_batch_no)
            self.rows_in_flight -= micro_batch.rows
            self.bytes_in_flight -= micro_batch.size

    # -- movement ----------------------------------------------------------------------------------------------

    def move(self) -> list[ev.Command]:
        """Send everything that can be sent to consumers and to audit."""
        out: list[ev.Command] = []
        if not any(barrier.commit_sent for barrier in self.barriers):
            out.extend(self._restore(consumer) for consumer in self.consumers.values() if consumer.restoring)
        for consumer in self.consumers.values():
            if consumer.up:
                out.extend(self._feed(consumer))
        if self._audit_up:
            out.extend(self._feed_audit())
        return out

    def _restore(self, consumer: Consumer) -> ev.Command:
        consumer.restoring = False
        if consumer.name == SINKS:
            return ev.Send(consumer.name, RestoreSinks(self.durable.sink_positions))
        return ev.Send(consumer.name, RestoreStage(consumer.stage, self.durable.stage_states.get(consumer.stage)))

    def _feed(self, consumer: Consumer) -> list[ev.Command]:
        out: list[ev.Command] = []
        sinks = consumer.name == SINKS
        self._flush(consumer, out)
        while (micro_batch := self.micro_batches.get(consumer.next_no)) and micro_batch.stage >= consumer.stage:
            poison = micro_batch.poison.get(consumer.stage, {})
            message = (
                Write(micro_batch.no, micro_batch.end, micro_batch.no <= consumer.careful_no, poison)
                if sinks
                else StageWork(
                    micro_batch.no,
                    consumer.stage,
                    micro_batch.active_seconds,
                    micro_batch.tick,
                    micro_batch.end,
                    poison,
                )
            )
            out.append(ev.Send(consumer.name, message, (micro_batch.inputs[consumer.stage],)))
            consumer.next_no += 1
            self._flush(consumer, out)
        return out

    def _flush(self, consumer: Consumer, out: list[ev.Command]) -> None:
        for barrier in self.barriers:
            if (
                barrier.no == consumer.next_no - 1
                and not barrier.commit_sent
                and consumer.name not in barrier.flush_sent
            ):
                barrier.flush_sent.add(consumer.name)
                out.append(ev.Send(consumer.name, Flush(barrier.no)))

    def _feed_audit(self) -> list[ev.Command]:
        out: list[ev.Command] = []
        while (micro_batch := self.micro_batches.get(self._audit_next)) and micro_batch.complete:
            out.append(
                ev.Send(AUDIT, MicroBatchRecords(micro_batch.no), tuple(body for body in micro_batch.records if body))
            )
            self._audit_next += 1
        for barrier in self.barriers:
            if barrier.commit_sent:
                continue
            if self._audit_next <= barrier.no or barrier.positions is None:
                break
            if len(barrier.states) < len(self.consumers) - 1:
                break
            barrier.commit_sent = True
            out.append(ev.Send(AUDIT, self._commit(barrier)))
        return out

    def _commit(self, barrier: Barrier) -> Commit:
        outcomes, written = dict(self.durable.outcome_counts), dict(self.durable.written_counts)
        calls, tally = dict(self.durable.call_totals or {}), self.durable.tally or NOTHING
        for micro_batch in self.micro_batches.values():
            if micro_batch.no <= barrier.no:
                tally += micro_batch.tally
                _add(outcomes, micro_batch.outcomes)
                _add(written, micro_batch.sinks)
                totals.add(calls, micro_batch.calls)
        assert barrier.positions is not None
        barrier.checkpoint = Checkpoint(
            micro_batch=barrier.no,
            row_count=barrier.row_end,
            source_positions=barrier.sources,
            sink_positions=barrier.positions,
            stage_states=barrier.states,
            active_seconds=barrier.active_seconds,
            outcome_counts=outcomes,
            written_counts=written,
            **counted(calls, tally),
        )
        barrier.tally_stored = not self._adds_one_row(barrier)
        if barrier.tally_stored:
            return Commit(barrier.checkpoint, final=barrier.final)
        return Commit(structs.replace(barrier.checkpoint, tally=UNSET), final=barrier.final)

    def _adds_one_row(self, barrier: Barrier) -> bool:
        """Whether the commit adds one row at most, and records that are that row's own: they can be counted again."""
        at = self.barriers.index(barrier)
        before = self.barriers[at - 1] if at else None
        after_no = before.no if before else self.durable.micro_batch
        after_row = before.row_end if before else self.durable.row_count
        if barrier.final or self._tally_stored is None or barrier.row_end - self._tally_stored >= TALLY_ROWS:
            return False
        own = all(each.own_rows for no, each in self.micro_batches.items() if after_no < no <= barrier.no)
        return own and barrier.row_end - after_row <= 1
