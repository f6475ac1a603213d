"""The numbers under which records hold texts that repeat themselves: nodes, edges, the reasons of gates; run by run."""

from __future__ import annotations

from elspeth.audit.connection import Connection

MOST = 4096
"""Texts of one run that get a number; a pipeline with more nodes and edges says those behind them in words."""

MOST_REASONS = 256
"""Reasons of one run that get a number: those of most gates are few, where one is not its records say it themselves."""


class Names:
    """The names of one run, as they are in `names`. New ones are added there, within the transaction that is open.

    Those that a purge takes away count down from -1, the others up from 0.
    """

    def __init__(self, connection: Connection, run_id: str) -> None:
        self._connection = connection
        self.run_id = run_id
        self._known: dict[tuple[str, bool], int] = {
            (name, number < 0): number
            for number, name in connection.execute("SELECT name_no, name FROM names WHERE run_id = ?", (run_id,))
        }
        held = self._known.values()
        self._next = {False: max([-1, *held]) + 1, True: min([0, *held]) - 1}

    def numbers(self, texts: list[str], purgeable: bool) -> list[int | str]:
        """The number of each text, or the text where it gets none. `purgeable` ones go with the data of the rows."""
        return [self._number(text, purgeable) for text in texts]

    def _number(self, text: str, purgeable: bool) -> int | str:
        found = self._known.get((text, purgeable))
        if found is not None:
            return found
        number = self._next[purgeable]
        if number >= MOST or number < -MOST_REASONS:
            return text
        self._known[text, purgeable] = number
        self._next[purgeable] += -1 if purgeable else 1
        self._connection.execute(
            "INSERT INTO names (run_id, name_no, name) VALUES (?, ?, ?)", (self.run_id, number, text)
        )
        return number
