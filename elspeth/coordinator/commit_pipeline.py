"""The flow machine's second half: released units on their way through ordered stages and sinks to a commit."""

from __future__ import annotations

from elspeth.coordinator import events as ev
from elspeth.coordinator.in_flight import Barrier, Lane, Piece, Unit
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.protocol import Commit, Flush, Record, RestoreSinks, RestoreStage, StageWork, Value, Write

CHECKPOINT_VERSION = 1


def start_checkpoint(sinks: dict[str, Value]) -> Value:
    """Checkpoint 0: nothing read, and every output at the position it was found in."""
    return {
        "version": CHECKPOINT_VERSION,
        "no": 0,
        "rows": 0,
        "sources": {},
        "sinks": sinks,
        "stages": {},
        "driven": 0.0,
        "outcomes": {},
        "written": {},
    }


def _add(into: dict[str, int], more: dict[str, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count


class Settle:
    """Units, lanes and barriers. `durable` is the checkpoint that was committed last."""

    def __init__(self, policy: Policy, stateful: tuple[bool, ...], checkpoint: Value) -> None:
        self._policy = policy
        self._stateful = stateful
        self.durable = checkpoint
        self.lanes = {f"stage-{k}": Lane(f"stage-{k}", k) for k, ordered in enumerate(stateful) if ordered}
        self.lanes["sinks"] = Lane("sinks", len(stateful))
        self.units: dict[int, Unit] = {}
        self.barriers: list[Barrier] = []
        self._released_no: int = checkpoint["no"]
        self._released_rows: int = checkpoint["rows"]
        self._sources: dict[str, Value] = dict(checkpoint["sources"])
        self.marked = True
        self._rows_since_mark = 0
        self._ended = False
        self._for_workers: list[Unit] = []
        self._audit_up = True
        self._audit_next: int = checkpoint["no"] + 1
        self._aggregated = False
        self.commit_due = False
        self.complete = False
        self.rows_in_flight = 0
        self.bytes_in_flight = 0
        self.rows_done: int = checkpoint["rows"]
        self.outcomes: dict[str, int] = dict(checkpoint["outcomes"])
        self.written_rows: dict[str, int] = dict(checkpoint["written"])

    # -- release -----------------------------------------------------------------------------------------------

    def release(self, piece: Piece, driven: float) -> None:
        """Take a decided piece as the next unit."""
        rows = piece.stop - piece.start
        self._add_unit(rows, piece.size, driven, end=piece.last, items=piece.items)
        unit = self.units[self._released_no]
        if piece.records is not None:
            unit.records.append(piece.records)
        unit.outcomes = piece.outcomes
        mark = piece.mark()
        self.marked = mark is not None
        if mark is not None:
            before = self._sources.get(piece.source, {"rows": 0})
            self._sources[piece.source] = {
                "cursor": mark.cursor,
                "proof": mark.proof,
                "rows": before["rows"] + self._rows_since_mark + rows,
                "ended": piece.ended,
                "offset": piece.offset,
            }
            self._rows_since_mark = 0
        else:
            self._rows_since_mark += rows
        if piece.last:
            self._ended = True

    def tick(self, driven: float) -> None:
        """Release an empty unit in which time-outs may fire."""
        if not self._ended:
            self._add_unit(0, 0, driven, tick=True)

    def _add_unit(
        self, rows: int, size: int, driven: float, *, tick: bool = False, end: bool = False, items: object = None
    ) -> None:
        self._released_no += 1
        self._released_rows += rows
        unit = Unit(self._released_no, rows, self._released_rows, size, driven, tick=tick, end=end)
        unit.inputs[1] = items
        self.units[unit.no] = unit
        self.rows_in_flight += rows
        self.bytes_in_flight += size

    # -- stages and sinks ----------------------------------------------------------------------------------------

    def units_for_workers(self) -> list[Unit]:
        """Units that have become ready for a stateless stage since the last call."""
        ready, self._for_workers = self._for_workers, []
        return ready

    def stage_passed(self, event: ev.StagePassed) -> None:
        done = event.done
        unit = self.units.get(done.no)
        if unit is None or unit.stage != done.stage:
            return  # answered a second time after a restore
        unit.records.append(event.records)
        _add(unit.outcomes, done.outcomes)
        self._aggregated |= done.flushed
        if not self._stateful[done.stage]:
            del unit.inputs[done.stage]
        unit.stage += 1
        unit.alone = False
        unit.inputs[unit.stage] = event.items
        if unit.stage < len(self._stateful) and not self._stateful[unit.stage]:
            self._for_workers.append(unit)

    def written(self, event: ev.UnitWritten) -> None:
        unit = self.units.get(event.written.no)
        if unit is None or unit.complete:
            return
        unit.records.append(event.records)
        _add(unit.outcomes, event.written.outcomes)
        unit.sinks = event.written.sinks
        unit.complete = True
        self.rows_done = unit.row_end
        _add(self.outcomes, unit.outcomes)
        _add(self.written_rows, unit.sinks)

    def lane_started(self, name: str) -> None:
        self.lanes[name].restoring = True

    def lane_up(self, name: str) -> None:
        lane = self.lanes[name]
        lane.up = True
        lane.next_no = self.durable["no"] + 1

    def lane_died(self, event: ev.Died) -> list[ev.Command]:
        """A lane's process is gone: barriers that wait for it are taken back; what it had is kept and sent again."""
        lane = self.lanes[event.child]
        if lane.up:
            lane.careful_no = lane.next_no - 1
        lane.up = lane.restoring = False
        self._take_back()
        unit = self.units.get(event.detail)
        # What it has answered once is decided: a second look that kills is no reason to decide otherwise.
        if event.position < 0 or unit is None or unit.passed(lane.stage):
            return [ev.Restart(event.child, counted=True)]
        restart = ev.Restart(event.child, counted=False)
        if not unit.blame(lane.stage, event.position, event.evidence, self._policy.poison_attempts):
            return [restart]
        evidence = unit.poison[lane.stage][str(event.position)]
        return [ev.Convicted(None, evidence), restart]

    def _take_back(self) -> None:
        """Forget the barriers that are not with audit: they mention what is about to be restored."""
        kept = [barrier for barrier in self.barriers if barrier.commit_sent]
        self.commit_due |= len(kept) < len(self.barriers)
        self.barriers = kept

    # -- commits -----------------------------------------------------------------------------------------------

    def place_barrier(self, *, wanted: bool) -> None:
        """Put a barrier behind the unit released last, if a commit is due and there is room for one more.

        One barrier may wait for the lanes while another is with audit: output and database work at the same time, and
        everything that becomes ready meanwhile shares the next commit.
        """
        last = self.barriers[-1] if self.barriers else None
        behind = last.no if last else self.durable["no"]
        if self._released_no == behind or not self.marked:
            return
        if len(self.barriers) > 1 or (last is not None and not last.commit_sent):
            return
        policy = self._policy
        rows = self._released_rows - (last.row_end if last else self.durable["rows"])
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
            unit = self.units[self._released_no]
            self.barriers.append(
                Barrier(self._released_no, self._released_rows, dict(self._sources), unit.driven, final=self._ended)
            )

    def flushed(self, no: int, positions: dict[str, Value]) -> None:
        for barrier in self.barriers:
            if barrier.no == no and not barrier.commit_sent:
                barrier.positions = positions

    def state_answered(self, no: int, stage: int, state: Value) -> None:
        for barrier in self.barriers:
            if barrier.no == no and not barrier.commit_sent:
                barrier.states[str(stage)] = state

    def audit_down(self) -> None:
        self._audit_up = False

    def audit_owns(self, no: int) -> None:
        """Audit says what is committed: commits up to `no` have happened, later ones have not and are sent again."""
        for barrier in list(self.barriers):
            if barrier.commit_sent and barrier.no <= no:
                self.committed(barrier.no)
        for barrier in self.barriers:
            barrier.commit_sent = False
        if not all(lane.up for lane in self.lanes.values()):
            self._take_back()
        self._audit_up = True
        self._audit_next = self.durable["no"] + 1

    def committed(self, no: int) -> None:
        while self.barriers and self.barriers[0].no <= no:
            barrier = self.barriers.pop(0)
            if barrier.checkpoint is not None:
                self.durable = barrier.checkpoint
            self.complete = barrier.final
        for unit_no in [key for key in self.units if key <= no]:
            unit = self.units.pop(unit_no)
            self.rows_in_flight -= unit.rows
            self.bytes_in_flight -= unit.size

    # -- movement ----------------------------------------------------------------------------------------------

    def move(self) -> list[ev.Command]:
        """Send everything that can be sent to lanes and to audit."""
        out: list[ev.Command] = []
        if not any(barrier.commit_sent for barrier in self.barriers):
            out.extend(self._restore(lane) for lane in self.lanes.values() if lane.restoring)
        for lane in self.lanes.values():
            if lane.up:
                out.extend(self._feed(lane))
        if self._audit_up:
            out.extend(self._feed_audit())
        return out

    def _restore(self, lane: Lane) -> ev.Command:
        lane.restoring = False
        if lane.name == "sinks":
            return ev.Send(lane.name, RestoreSinks(self.durable["sinks"]))
        return ev.Send(lane.name, RestoreStage(lane.stage, self.durable["stages"].get(str(lane.stage))))

    def _feed(self, lane: Lane) -> list[ev.Command]:
        out: list[ev.Command] = []
        sinks = lane.name == "sinks"
        self._flush(lane, out)
        while (unit := self.units.get(lane.next_no)) and unit.stage >= lane.stage:
            poison = unit.poison.get(lane.stage, {})
            message = (
                Write(unit.no, unit.end, unit.no <= lane.careful_no, poison)
                if sinks
                else StageWork(unit.no, lane.stage, unit.driven, unit.tick, unit.end, poison)
            )
            out.append(ev.Send(lane.name, message, (unit.inputs[lane.stage],)))
            lane.next_no += 1
            self._flush(lane, out)
        return out

    def _flush(self, lane: Lane, out: list[ev.Command]) -> None:
        for barrier in self.barriers:
            if barrier.no == lane.next_no - 1 and not barrier.commit_sent and lane.name not in barrier.flush_sent:
                barrier.flush_sent.add(lane.name)
                out.append(ev.Send(lane.name, Flush(barrier.no)))

    def _feed_audit(self) -> list[ev.Command]:
        out: list[ev.Command] = []
        while (unit := self.units.get(self._audit_next)) and unit.complete:
            out.append(ev.Send("audit", Record(unit.no), tuple(body for body in unit.records if body)))
            self._audit_next += 1
        for barrier in self.barriers:
            if barrier.commit_sent:
                continue
            if self._audit_next <= barrier.no or barrier.positions is None:
                break
            if len(barrier.states) < len(self.lanes) - 1:
                break
            barrier.commit_sent = True
            out.append(ev.Send("audit", self._commit(barrier)))
        return out

    def _commit(self, barrier: Barrier) -> Commit:
        outcomes, written = dict(self.durable["outcomes"]), dict(self.durable["written"])
        for unit in self.units.values():
            if unit.no <= barrier.no:
                _add(outcomes, unit.outcomes)
                _add(written, unit.sinks)
        barrier.checkpoint = {
            "version": CHECKPOINT_VERSION,
            "no": barrier.no,
            "rows": barrier.row_end,
            "sources": barrier.sources,
            "sinks": barrier.positions,
            "stages": barrier.states,
            "driven": barrier.driven,
            "outcomes": outcomes,
            "written": written,
        }
        return Commit(barrier.no, barrier.row_end, barrier.checkpoint, final=barrier.final)
