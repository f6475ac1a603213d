"""Which row is suspected of a process's death, and what that means for the slice it is in. Pure.

A slice whose worker died is split at the row that it was touching, and that row goes alone from then on; when processes
died on it alone often enough, it is set aside. What is to be put on record, or said, about it is asked for with
`take_commands`.
"""

from __future__ import annotations

from elspeth.coordinator import events as ev
from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.in_flight import ChunkSlice, MicroBatch
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.suspicion.memory_trial import MemoryTrial


class Suspects:
    """Suspected rows of an attempt. `known` maps rows to the deaths that each saw alone in earlier attempts."""

    def __init__(self, policy: Policy, known: dict[int, int]) -> None:
        self._policy = policy
        self._known = known
        self._tokens = 0
        self.any = self.any_exclusive = False  # since the attempt began; most have none, and need not look for it
        self._commands: list[ev.Command] = []
        self._trial = MemoryTrial()

    def take_commands(self) -> list[ev.Command]:
        """What is to be recorded or said since the last call, once."""
        commands, self._commands = self._commands, []
        return commands

    def isolate_known(self, chunk_slice: ChunkSlice, *, recorded_end: int) -> list[ChunkSlice]:
        """Split a new slice at rows that earlier attempts suspected, so that each of them goes alone.

        Before the row `recorded_end`, what is suspected of nothing is recorded before it is touched all the same.
        """
        rows = chunk_slice.row_range
        parts: list[ChunkSlice] = []
        for row in sorted(row for row in self._known if row in rows):
            before, suspect, rest = isolate(chunk_slice, row)
            suspect.deaths = suspect.inherited = self._known.pop(row)
            if suspect.deaths >= self._policy.poison_attempts:
                self._convict(suspect, Suspicion(reason="killed the processes of earlier attempts"))
            else:
                self._suspect(suspect, Suspicion(reason="suspected in an earlier attempt"))
            parts += [*before, suspect]
            if not rest:
                return parts
            chunk_slice = rest[0]
        if chunk_slice.row_index < recorded_end and not chunk_slice.done:
            self._suspect(chunk_slice, Suspicion(reason="recorded before it is touched"))
        return [*parts, chunk_slice]

    def slice_died(self, chunk_slice: ChunkSlice, event: ev.Died) -> list[ChunkSlice]:
        """A worker died over this slice: what takes its place; nothing if the death is not the slice's doing."""
        rows = chunk_slice.row_range
        if chunk_slice.alone:
            if event.position not in rows:
                return []
            self._alone_died(chunk_slice, event)
            return [chunk_slice]
        if event.position in rows:
            before, suspect, rest = isolate(chunk_slice, event.position)
            suspect.exclusive = self._exclusive(event)
            self._suspect(suspect, event.suspicion)
            return [*before, suspect, *rest]
        return []

    def company_died(self, chunk_slice: ChunkSlice) -> list[ChunkSlice]:
        """A pool died over this slice and others, and nobody knows which row it was: what takes its place.

        Who is killed from outside takes others each time. So a slice is halved, until one row is left; that is given a
        second chance in company, and then goes alone.
        """
        if len(chunk_slice.row_range) > 1:
            middle = (chunk_slice.start + chunk_slice.stop) // 2
            return [chunk_slice.part(chunk_slice.start, middle), chunk_slice.part(middle, chunk_slice.stop)]
        chunk_slice.alone = chunk_slice.seen
        chunk_slice.seen = True
        return [chunk_slice]

    def _alone_died(self, chunk_slice: ChunkSlice, event: ev.Died) -> None:
        chunk_slice.deaths += 1
        chunk_slice.memory |= event.memory
        chunk_slice.exclusive |= self._exclusive(event)
        if event.memory and self._trial.died(chunk_slice):
            return  # it waits for how others fare, or they for it
        if chunk_slice.deaths < self._policy.poison_attempts:
            self._suspect(chunk_slice, event.suspicion)
        elif chunk_slice.memory:
            self._trial.accuse(chunk_slice, event.suspicion)
        else:
            self._convict(chunk_slice, event.suspicion)

    def micro_batch_died(self, micro_batch: MicroBatch, event: ev.Died) -> bool:
        """A worker died over a micro-batch in a later stage; whether that was the micro-batch's doing."""
        if event.position < 0 or event.memory:
            return False
        micro_batch.exclusive |= self._exclusive(event)
        if not micro_batch.alone:
            micro_batch.alone = True
        elif micro_batch.blame(micro_batch.stage, event.position, event.suspicion, self._policy.poison_attempts):
            self._commands.append(ev.Convicted(None, micro_batch.poison[micro_batch.stage][event.position]))
        return True

    def survived(self) -> None:
        """A row that had all workers to itself came through: whoever waited for that is convicted by it."""
        self._convict_all(self._trial.survived())

    def try_memory(self, pending: list[ChunkSlice], *, more_to_come: bool) -> None:
        """Go on with the trial of a row whose processes died for want of memory, if there is one.

        Another row is tried as it was: if that dies, too, neither has done it. For this a slice of `pending` is split
        in place, so that its first row goes alone.
        """
        if self._trial.wants_witness() and not self._find_witness(pending) and not more_to_come:
            self._convict_all(self._trial.nobody_left())
        if rows := self._trial.take_verdict():
            self._commands.append(ev.OutOfMemory(rows))

    def _exclusive(self, event: ev.Died) -> bool:
        """Whether what died of this goes with nothing beside it from now on."""
        exclusive = event.memory or bool(event.fork_server)
        self.any_exclusive |= exclusive
        return exclusive

    @staticmethod
    def _find_witness(pending: list[ChunkSlice]) -> bool:
        for at, chunk_slice in enumerate(pending):
            if chunk_slice.exclusive and not chunk_slice.held and not chunk_slice.done:
                return True  # a suspect of its own; it will do
            free = chunk_slice.worker is None and chunk_slice.blame is None and chunk_slice.poison is None
            if free and not chunk_slice.done and not chunk_slice.held:
                before, witness, rest = isolate(chunk_slice, chunk_slice.row_index)
                witness.exclusive = True
                pending[at : at + 1] = [*before, witness, *rest]
                return True
        return False

    def _suspect(self, chunk_slice: ChunkSlice, suspicion: Suspicion) -> None:
        self._tokens += 1
        self.any = True
        chunk_slice.blame = self._tokens
        self._commands.append(
            ev.Suspect(self._tokens, chunk_slice.row_index, chunk_slice.deaths - chunk_slice.inherited, suspicion)
        )

    def _convict(self, chunk_slice: ChunkSlice, suspicion: Suspicion) -> None:
        chunk_slice.poison = suspicion.convict(chunk_slice.deaths)
        chunk_slice.alone = chunk_slice.exclusive = False
        self._commands.append(ev.Convicted(chunk_slice.row_index, chunk_slice.poison))

    def _convict_all(self, convicted: list[tuple[ChunkSlice, Suspicion]]) -> None:
        for chunk_slice, suspicion in convicted:
            self._convict(chunk_slice, suspicion)


def isolate(chunk_slice: ChunkSlice, row_index: int) -> tuple[list[ChunkSlice], ChunkSlice, list[ChunkSlice]]:
    """A slice cut in what lies before a row (nothing or one slice), that row alone, and what lies behind it."""
    at = chunk_slice.start + row_index - chunk_slice.row_index
    before = [chunk_slice.part(chunk_slice.start, at)] if at > chunk_slice.start else []
    rest = [chunk_slice.part(at + 1, chunk_slice.stop)] if at + 1 < chunk_slice.stop else []
    suspect = chunk_slice.part(at, at + 1)
    suspect.alone = True
    return before, suspect, rest
