"""The flow machine's first half: chunks become pieces, workers decide them, results are released in order.

Blame lives here: a piece whose worker died is split at the row it was touching, and that row goes alone.
"""

from __future__ import annotations

from elspeth.flow import events as ev
from elspeth.flow.messages import Credit, ReadFrom, StageWork, Value, Work
from elspeth.flow.policy import WORK_SECONDS, ChunkSize, Policy
from elspeth.flow.units import Piece, Unit, WorkerState


class Decide:
    """Pieces, workers, credit and blame."""

    def __init__(self, policy: Policy, checkpoint: Value, suspects: dict[int, int], cautious_rows: int) -> None:
        self._policy = policy
        self.pending: list[Piece] = []
        self.workers: dict[str, WorkerState] = {}
        self._units: list[Unit] = []
        self._suspects = suspects
        self._cautious_end: int = checkpoint["rows"] + cautious_rows
        self._tokens = 0
        self._wanted_worker = False
        self._blames: list[ev.Command] = []
        self.chunk = ChunkSize(1 if cautious_rows else policy.smallest_chunk(), policy.largest_chunk())
        self._sources: dict[str, Value] = dict(checkpoint["sources"])
        self._next_row: int = checkpoint["rows"]
        self._next_seq = 0
        self._credit = 0
        self.source_up = False
        self._input_closed = False

    # -- source ------------------------------------------------------------------------------------------------

    def read_from(self) -> ReadFrom:
        """Where a source process continues: behind the last chunk received."""
        return ReadFrom(self._sources, self._next_seq, self._next_row)

    def source_down(self) -> None:
        self.source_up = False
        self._credit = 0

    def arrived(self, event: ev.ChunkArrived, *, stopping: bool) -> None:
        chunk = event.chunk
        if chunk.seq != self._next_seq:
            return  # sent by a predecessor that was replaced meanwhile
        self._next_seq += 1
        self._credit = max(0, self._credit - (not chunk.ended))
        self._next_row += chunk.rows
        last = chunk.marks[-1]
        before = self._sources.get(chunk.source, {"rows": 0})
        self._sources[chunk.source] = {
            "cursor": last.cursor,
            "proof": last.proof,
            "rows": before["rows"] + chunk.rows,
            "ended": chunk.ended,
        }
        self._input_closed |= chunk.last
        if stopping:
            return
        piece = Piece(
            chunk.seq, 0, chunk.rows, chunk.row_index, chunk.source, chunk.marks, event.rows, event.size,
            offset=chunk.offset, ended=chunk.ended, last=chunk.last, done=not chunk.rows,
        )  # fmt: skip
        self.pending.extend(self._with_suspects(piece))

    def _with_suspects(self, piece: Piece) -> list[Piece]:
        """Split a new piece at rows that earlier attempts suspected, so that each of them goes alone."""
        rows = range(piece.row_index, piece.row_index + piece.stop - piece.start)
        known = [row for row in sorted(self._suspects) if row in rows]
        parts: list[Piece] = []
        for row in known:
            before, suspect, rest = self._isolate(piece, row)
            suspect.deaths = self._suspects.pop(row)
            if suspect.deaths >= self._policy.poison_attempts:
                self._convict(suspect, {"reason": "killed the processes of earlier attempts"})
            else:
                self._suspicion(suspect, {"reason": "suspected in an earlier attempt"})
            parts += [*before, suspect]
            if not rest:
                return parts
            piece = rest[0]
        if piece.row_index < self._cautious_end and not piece.done:
            self._suspicion(piece, {"reason": "recorded before it is touched"})
        return [*parts, piece]

    @staticmethod
    def _isolate(piece: Piece, row_index: int) -> tuple[list[Piece], Piece, list[Piece]]:
        at = piece.start + row_index - piece.row_index
        before = [piece.part(piece.start, at)] if at > piece.start else []
        rest = [piece.part(at + 1, piece.stop)] if at + 1 < piece.stop else []
        suspect = piece.part(at, at + 1)
        suspect.alone = True
        return before, suspect, rest

    def starved(self, rows: int, size: int) -> bool:
        """Whether the window is full, so that only a commit can bring new rows."""
        return not self._input_closed and not self.pending and not self._credit and not self._room(rows, size)

    def _room(self, rows: int, size: int) -> bool:
        policy = self._policy
        promised = rows + sum(piece.stop - piece.start for piece in self.pending) + self._credit * self.chunk.rows
        return promised + self.chunk.rows <= policy.window_rows() and size < policy.window_bytes()

    def credit(self, rows: int, size: int) -> list[ev.Command]:
        """New credit for the source, as far as the window allows. `rows`, `size`: released and not durable."""
        granted = 0
        size += sum(piece.size for piece in self.pending)
        undecided = sum(not piece.done for piece in self.pending)
        pieces = 1 if self._next_row < self._cautious_end else self._policy.window_pieces()
        while (
            self.source_up and not self._input_closed and undecided + self._credit < pieces and self._room(rows, size)
        ):
            self._credit += 1
            granted += 1
        return [ev.Send("source", Credit(granted, self.chunk.rows))] if granted else []

    # -- release -----------------------------------------------------------------------------------------------

    def release(self) -> Piece | None:
        """The next decided piece in the order of the input, if it is there."""
        if self.pending and self.pending[0].done:
            return self.pending.pop(0)
        return None

    def stop(self) -> None:
        """Forget what nobody has begun; keep chunks whole, so that the last release lies at a mark."""
        for at, piece in enumerate(self.pending):
            begun = at > 0 and self.pending[at - 1].mark() is None
            if not begun and not piece.done and piece.worker is None:
                del self.pending[at:]
                return

    # -- workers -----------------------------------------------------------------------------------------------

    def queue_units(self, units: list[Unit]) -> None:
        """Released units that a stateless later stage is waiting for."""
        self._units.extend(units)
        self._units.sort(key=lambda unit: unit.no)

    def worker_up(self, name: str) -> None:
        self.workers[name] = WorkerState(name, up=True)
        self._wanted_worker = False

    def unit_done(self, child: str, no: int) -> None:
        worker = self.workers.get(child)
        if worker is not None:
            worker.tasks = [task for task in worker.tasks if not (isinstance(task, Unit) and task.no == no)]

    def piece_done(self, event: ev.PieceDone) -> None:
        """A worker decided a piece, or the first part of one."""
        done, worker = event.done, self.workers[event.worker]
        piece = next(
            task
            for task in worker.tasks
            if isinstance(task, Piece) and (task.seq, task.start) == (done.seq, done.start)
        )
        at = self.pending.index(piece)
        if self._next_row >= self._cautious_end:
            self.chunk.learn(done.stop - done.start, done.seconds)
        if done.stop < piece.stop:
            rest = piece.part(done.stop, piece.stop)
            rest.worker, rest.alone, rest.deaths = piece.worker, piece.alone, piece.deaths
            whole, piece = piece, piece.part(done.start, done.stop)
            self.pending[at : at + 1] = [piece, rest]
            worker.tasks[worker.tasks.index(whole)] = rest
        else:
            worker.tasks.remove(piece)
        piece.worker, piece.done = None, True
        piece.items, piece.records, piece.outcomes = event.items, event.records, done.outcomes

    def worker_died(self, event: ev.Died) -> list[ev.Command]:
        """A worker is gone: its tasks are to be given out again, and the row it was touching is the suspect."""
        worker = self.workers.pop(event.child, None)
        tasks = worker.tasks if worker else []
        blamed = False
        for at, task in enumerate(tasks):
            task.worker = None
            if isinstance(task, Unit):
                blamed |= at == 0 and self._blame_unit(task, event)
                self._units.insert(0, task)
            elif at == 0:
                blamed |= self._blame_piece(task, event)
        self._units.sort(key=lambda unit: unit.no)
        commands, self._blames = self._blames, []
        return [*commands, ev.Restart(event.child, counted=not blamed)]

    def _blame_piece(self, piece: Piece, event: ev.Died) -> bool:
        rows = range(piece.row_index, piece.row_index + piece.stop - piece.start)
        if event.position not in rows:
            return False
        if piece.alone:
            piece.deaths += 1
            if piece.deaths >= self._policy.poison_attempts:
                self._convict(piece, event.evidence)
            else:
                self._suspicion(piece, event.evidence)
            return True
        before, suspect, rest = self._isolate(piece, event.position)
        self._suspicion(suspect, event.evidence)
        at = self.pending.index(piece)
        self.pending[at : at + 1] = [*before, suspect, *rest]
        return True

    def _blame_unit(self, unit: Unit, event: ev.Died) -> bool:
        if event.position < 0:
            return False
        unit.alone = True
        deaths = unit.deaths[event.position] = unit.deaths.get(event.position, 0) + 1
        if deaths > self._policy.poison_attempts:
            evidence = {**event.evidence, "attempts": deaths - 1}
            unit.poison[str(event.position)] = evidence
            self._blames.append(ev.Convicted(unit.row_end - unit.rows, evidence))
        return True

    def _suspicion(self, piece: Piece, evidence: Value) -> None:
        self._tokens += 1
        piece.blame = self._tokens
        self._blames.append(ev.Suspect(self._tokens, piece.row_index, piece.deaths, evidence))

    def _convict(self, piece: Piece, evidence: Value) -> None:
        piece.poison = {**evidence, "attempts": piece.deaths}
        piece.alone = False
        self._blames.append(ev.Convicted(piece.row_index, piece.poison))

    def noted(self, token: int) -> None:
        for piece in self.pending:
            if piece.blame == token:
                piece.blame = None

    # -- assignment --------------------------------------------------------------------------------------------

    def assign(self) -> list[ev.Command]:
        """Give out what can be given; ask for another worker when there is enough to do for one."""
        out, self._blames = self._blames, []
        waiting: list[Piece | Unit] = [*self._units]
        waiting += [piece for piece in self.pending if not piece.done and piece.worker is None and piece.blame is None]
        alone = [task for task in waiting if task.alone]
        others = [task for task in waiting if not task.alone]
        reserved = len(alone) + sum(piece.alone and piece.blame is not None for piece in self.pending)
        for task in alone:
            fresh = [worker for worker in self.workers.values() if worker.fresh]
            if fresh:
                out.append(self._give(fresh[0], task))
                reserved -= 1
            else:
                out.extend(self._recycle())
        for at, task in enumerate(others):
            worker = self._least_busy(reserved)
            if worker is None:
                out.extend(self._more_workers(others[at:]))
                break
            out.append(self._give(worker, task))
        return out

    def _least_busy(self, reserved: int) -> WorkerState | None:
        depth = 1 if self.chunk.slow() else 2
        fresh = [worker for worker in self.workers.values() if worker.fresh]
        kept = {worker.name for worker in fresh[:reserved]}
        free = [
            worker
            for worker in self.workers.values()
            if len(worker.tasks) < depth and worker.name not in kept and not any(task.alone for task in worker.tasks)
        ]
        return min(free, key=lambda worker: len(worker.tasks), default=None)

    def _recycle(self) -> list[ev.Command]:
        """A fresh worker for a suspect, at the expense of an idle one, unless one is on its way."""
        if len(self.workers) < self._policy.workers or any(worker.recycled for worker in self.workers.values()):
            return []
        idle = [worker for worker in self.workers.values() if not worker.tasks]
        if not idle:
            return []
        idle[0].recycled = True
        del self.workers[idle[0].name]
        return [ev.Recycle(idle[0].name)]

    def _more_workers(self, waiting: list[Piece | Unit]) -> list[ev.Command]:
        rows = sum(task.rows if isinstance(task, Unit) else task.stop - task.start for task in waiting)
        enough = rows * self.chunk.row_seconds > 3 * WORK_SECONDS
        if self._wanted_worker or not enough or len(self.workers) >= self._policy.workers:
            return []
        self._wanted_worker = True
        return [ev.NeedWorker()]

    def _give(self, worker: WorkerState, task: Piece | Unit) -> ev.Command:
        worker.tasks.append(task)
        worker.fresh = False
        task.worker = worker.name
        if isinstance(task, Unit):
            self._units.remove(task)
            message = StageWork(task.no, task.stage, task.driven, task.tick, task.end, task.poison)
            return ev.Send(worker.name, message, (task.inputs[task.stage],))
        return ev.Send(worker.name, Work(task.seq, task.start, task.stop, task.poison), (task.rows,))
