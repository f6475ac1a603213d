"""What the main process marks, where the death of every process leaves it for the next attempt; here: nothing."""

from __future__ import annotations


class Marking:
    """Marks of one attempt. This one keeps none: a first attempt has none, for nothing died before it."""

    def row(self, row_index: int | None) -> None:
        """This row is the only one in hand now; None: no row is, and the next one goes alone, too."""

    def many(self) -> None:
        """From now on rows go together again: what dies now may have died of any of them."""

    def given_out(self, row_end: int) -> None:
        """Rows before this one have been given to workers; those behind it nobody has touched."""

    def passed(self, stage: int, micro_batch: int) -> None:
        """The stage has passed this micro-batch, and this process outlived what it touched meanwhile."""
