"""Deduplicate in its ordered stage: the keys that have come, or, where the last is kept, the rows that wait."""

from __future__ import annotations

import re
from array import array
from typing import cast

from elspeth.execution.executor import Continuation, Executor, Refused
from elspeth.execution.side_outputs import SideOutputs
from elspeth.execution.stateful import BatchArchive, StateReference, token_of, token_text
from elspeth.execution.token import Token
from elspeth.graph.model import Node
from elspeth.plugins.contract import SideOutput
from elspeth.plugins.references.digest_index import DigestIndex, digest_of
from elspeth.plugins.transforms.deduplicate import Deduplicate
from elspeth.schema import RowSchema, compile_checker

_ROW_OF = re.compile(r"(.*?-)([0-9]{9})((?:[./].*)?)", re.ASCII | re.DOTALL)  # ids.token_id, and ids of children


class _KeptFirst:
    """The keys that have come, and the ids of the tokens with which they came first.

    An id is kept as the number of its row, and as what stands around the number: most ids have that in common.
    """

    def __init__(self) -> None:
        self._index = DigestIndex()
        self._numbers = array("I")
        self._form_of = array("I")  # by place, as far as a token came whose id has not the first form
        self._forms: dict[tuple[str, str | None], int] = {}
        self._form_list: list[tuple[str, str | None]] = []

    def add(self, digest: bytes, token_id: str) -> str | None:
        """The id of the token that came first with this key; None: it is this one."""
        place = self._index.add(digest)
        if place < 0:
            self._append(token_id)
            return None
        begin, rest = self._form_list[self._form_of[place] if place < len(self._form_of) else 0]
        return begin if rest is None else f"{begin}{self._numbers[place]:09d}{rest}"

    def _append(self, token_id: str) -> None:
        found = _ROW_OF.fullmatch(token_id)
        form = (found[1], found[3]) if found else (token_id, None)
        number = self._forms.get(form)
        if number is None:
            number = self._forms[form] = len(self._form_list)
            self._form_list.append(form)
        if number:
            self._form_of.frombytes(bytes(self._form_of.itemsize * (len(self._numbers) - len(self._form_of))))
            self._form_of.append(number)
        self._numbers.append(int(found[2]) if found else 0)


class DeduplicateStep:
    """The compiled form of `deduplicate`. Its state is a reference: the members of a batch that ends with the input.

    A member is a token that was kept, with the digest of its key; where the last is kept, any token, with all of it.
    """

    def __init__(self, node: Node, executor: Executor) -> None:
        self.node = node
        self._executor = executor
        self._plugin = cast("Deduplicate", executor.plugins[node.id])
        self._last = self._plugin.options.keep == "last"
        self._check = compile_checker(RowSchema.from_dict(node.schema)) if node.validate_input and node.schema else None
        self.active_seconds = 0.0
        self.flushed = False
        self._forget()

    def link(self) -> None:
        self._next: Continuation = self._executor.normal(self.node)
        self._aside = SideOutputs(self.node, self._executor)

    def _forget(self) -> None:
        self._batch, self._since, self._count = "", "", 0
        self._first = _KeptFirst()
        self._waiting: dict[bytes, Token] = {}  # in the order in which each came last

    # -- state -------------------------------------------------------------------------------------------------

    def state(self) -> StateReference | None:
        if not self._batch:
            return None
        return {"batch": self._batch, "since": self._since, "count": self._count}

    def restore(self, state: StateReference | None, archive: BatchArchive) -> None:
        self._forget()
        if state is None:
            return
        self._batch, self._since, self._count = state["batch"], state["since"], state["count"]
        for token_id, text in archive.each_member(self._batch, self._count):
            if self._last:
                token = token_of(token_id, text)
                key = self._plugin.key(token.data)
                assert key is not None
                self._replace(digest_of(key), token)
            else:
                self._first.add(bytes.fromhex(text), token_id)

    def due(self) -> float | None:
        return None

    def tick(self) -> None:
        """Nothing here depends on time."""

    # -- tokens ------------------------------------------------------------------------------------------------

    def run(self, token: Token) -> None:
        executor, recorder = self._executor, self._executor.recorder
        executor.touch(self.node.sequence)
        started = recorder.now
        try:
            if self._check is not None:
                self._check(token.data)
            key = self._plugin.key(token.data)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with its key is that row's failure
            refused = Refused.of(error)
            state = recorder.state(
                token, self.node.id, "failed", token.hash, None, started, error=refused.text(self.node.id)
            )
            token.step += 1
            executor.refuse(self.node, token, refused, state)
            return
        if key is None:
            self._pass(token, started)
        elif self._last:
            self._wait(token, digest_of(key), started)
        else:
            self._decide(token, digest_of(key), started)

    def _pass(self, token: Token, started: str) -> None:
        self._executor.recorder.state(token, self.node.id, "completed", token.hash, token.hash, started)
        token.step += 1
        self._next(token)

    def _decide(self, token: Token, digest: bytes, started: str) -> None:
        kept = self._first.add(digest, token.id)
        if kept is None:
            self._member(token, digest.hex())
            self._pass(token, started)
        else:
            self._drop(token, "its keys came before", kept, started)

    def _wait(self, token: Token, digest: bytes, started: str) -> None:
        self._member(token, token_text(token))
        self._executor.recorder.outcome(token, "buffered", batch=self._batch)
        before = self._replace(digest, token)
        if before is not None:
            self._drop(before, "its keys came again", token.id, started)

    def _replace(self, digest: bytes, token: Token) -> Token | None:
        before = self._waiting.pop(digest, None)
        self._waiting[digest] = token
        return before

    def _drop(self, token: Token, what: str, kept: str, started: str) -> None:
        self._aside.take(token, SideOutput("duplicate", f"{what}, in {kept}", {"kept": kept}), started)

    def _member(self, token: Token, text: str) -> None:
        recorder = self._executor.recorder
        if not self._batch:
            self._batch, self._since = f"{token.id}@{self.node.id}", recorder.now
        recorder.records["batch_members"].append((self._batch, token.id, self._count, text))
        self._count += 1

    def end(self) -> None:
        if not self._batch:
            return
        recorder = self._executor.recorder
        batch, since, waiting = self._batch, self._since, self._waiting
        self._forget()
        self.flushed = True
        recorder.records["batches"].append((batch, self.node.id, "end_of_source", "completed", since, recorder.now))
        for token in waiting.values():
            recorder.lap()
            self._pass(token, recorder.now)
