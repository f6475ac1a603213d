"""The contract between Elspeth and a plugin: everything an author needs, on one page (and `Context` on the next).

A plugin is a small class with a `name`, an `Options` model and the methods of its kind:

    Source       read(cursor) yields (row, cursor); can start after any cursor it yielded
    Transform    process(row) returns a row, or a list of rows
    Aggregation  process(rows) is given a whole batch and returns rows
    Sink         write(rows) then flush() returns a position it can come back to

Rows are plain dicts whose values JSON can hold: str, int, float, bool, None, lists and dicts. What `process` is given
belongs to Elspeth: return a new dict, never change the one you got. Every object lives in one process and is called
once at a time, by one thread; if a node asks for `pool_size`, that many calls of its plugin may be under way at once,
and those of the others come in turn, but from any thread of the pool. The order is always `__init__`, `setup`, the
calls of the kind, `teardown`; a process can die at any point, so `teardown` may never come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from elspeth.outputs import OutputInfo
from elspeth.plugins.context import BatchFacts as BatchFacts
from elspeth.plugins.context import Context as Context
from elspeth.plugins.results import Made as Made
from elspeth.plugins.results import SideOutput as SideOutput
from elspeth.plugins.results import Unfit as Unfit
from elspeth.plugins.row_errors import RowError as RowError
from elspeth.plugins.row_errors import TransientError as TransientError
from elspeth.schema.text_forms import TextForms
from elspeth.schema.typed_text import TYPED_KINDS

API_VERSION = 1
"""The version of this contract. It grows by one when something is taken away or changes its meaning.

A plugin says in `api_version` which version it was written for. What is to go is first marked here and in the changelog
as deprecated, with the version in which it goes; until then it works unchanged, for six months at least, and a plugin
written for the version before the present one still runs. One that asks for a later version than this is refused when
it is loaded.
"""

Row = dict[str, Any]
REFUSED = ("_line", "_error", "_raw")
"""What a row that its source refused has beside its own fields: where it stood, why, and the line as it was read."""

ERROR_FIELDS = ("_error", "_node")
"""What a row that a step or a sink refused has beside its own fields: why, and the name of who refused it."""

Cursor = Any  # a small value that JSON can hold; what it means is the source's own business
Position = dict[str, Any]  # likewise for sinks: `Sink.describe` says what others may know of it
Determinism = Literal["deterministic", "nondeterministic"]
Delivery = Literal["exactly_once", "at_least_once"]


@dataclass(frozen=True, slots=True)
class Invalid:
    """A piece of input that is no row. A source yields it in place of the row.

    `raw` is the text as read (cut to a bounded length), `error` a sentence, `line` the first line of the piece,
    counted from 1; `fields` are the values, if it could be split into any.
    """

    raw: str
    error: str
    line: int | None = None
    fields: Row | None = None


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source can tell before it is read: size in bytes, the files behind it, header names as found.

    `headers` maps the identifier used in rows to the name as it stands in the input, in input order: a row has these
    fields and no others. None where the input has no header; `lacks_header` where it should have one, and is not empty.
    """

    size_bytes: int | None = None
    files: tuple[Path, ...] = ()
    headers: dict[str, str] | None = None
    lacks_header: bool = False


class PluginOptions(BaseModel):
    """Base of every plugin's options: unknown keys are errors. `schema` is the row schema as the settings spell it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    schema_: Any = Field(default=None, alias="schema")


class Plugin:
    """What all kinds share. `version` is recorded with every run; raise it when results change."""

    name: ClassVar[str]
    version: ClassVar[str] = "1.0"
    api_version: ClassVar[int] = API_VERSION
    determinism: ClassVar[Determinism] = "deterministic"
    Options: ClassVar[type[PluginOptions]] = PluginOptions

    def __init__(self, options: Any) -> None:
        """`options` is an instance of the class's own `Options`. Open nothing here: `validate` builds plugins too."""
        self.options = options

    def setup(self, ctx: Context) -> None:
        """Called once per process, before anything else. May be called again in another process after a crash."""

    def teardown(self) -> None:
        """Called at an orderly end only."""

    def reference_files(self) -> tuple[Path, ...]:
        """Files whose content decides results (look-up tables, word lists); recorded, and compared on resume."""
        return ()

    def check_references(self) -> None:
        """Raise `SettingsError` unless the reference files can be used. Asked by `validate` and before a run begins."""


class Source(Plugin):
    """Reads rows. A cursor means *after the row it was yielded with*."""

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        """Yield rows in a fixed order, each with the cursor that follows it; start after `cursor`, or at the start."""
        raise NotImplementedError

    def proof(self) -> str | None:
        """SHA-256 (hex) of all input up to the row yielded last, or None where the input cannot prove itself.

        Called between two steps of the iterator, and once after its end.
        """
        return None

    def check(self, cursor: Cursor, proof: str) -> None:
        """Raise `elspeth.errors.SourceChanged` unless the input before `cursor` still has this proof.

        Called before `read(cursor)`, on the same object, so that a running hash can be kept.
        """

    def forms(self) -> TextForms | None:
        """How texts spell numbers, dates and truth values, where that is not the usual way.

        Rows are yielded with the texts as they are: by `schema` and these forms Elspeth makes typed values of them.
        """
        return None

    def raw(self) -> str | None:
        """The piece of input that the row yielded last was made of, as it was read; None where nobody can tell.

        Asked for when the row is refused: it is the evidence.
        """
        return None

    def said_at_end(self) -> str | None:
        """A sentence if there is more input by now than was read. Called once, when `read` has come to its end.

        Raises `elspeth.errors.SourceChanged` if the row yielded last was not whole and goes on now.
        """
        return None

    def end(self) -> Cursor | None:
        """The cursor of an input that gave no row, where who comes back must notice what was added; None: nobody must.

        Called when `read` has come to its end without a row.
        """
        return None

    def grown(self, cursor: Cursor | None) -> str | None:
        """A sentence if there is input behind the last row, at `cursor`, although `read` had come to its end there.

        Asked when a run is complete, of an object that has read nothing perhaps; None for `cursor`: there was no row.
        """
        return None

    def field_of(self, name: str) -> str:
        """What the field is called in rows that has this name in the input, as far as the options tell."""
        return name

    def describe(self) -> SourceInfo:
        """Facts for the plan, the progress display and the artifact record. Raises `SettingsError` if unreadable."""
        return SourceInfo()

    def line(self, cursor: Cursor) -> int | None:
        """The line of the input, counted from 1, on which the row that came with this cursor begins, or None."""
        return None

    def file(self, cursor: Cursor) -> str | None:
        """The file in which the row that came with this cursor stands; None where the source reads one file or none."""
        return None

    def offset(self, cursor: Cursor) -> int | None:
        """How many of `SourceInfo.size_bytes` lie before this cursor, for progress; None where nobody can tell."""
        return None


class Changes(Plugin):
    """What transforms and aggregations can tell of fields and services, so that `validate` finds a missing one."""

    def providers(self) -> Mapping[str, tuple[str, ...]]:
        """The accounts of the settings' `providers` that are asked, each with the kinds it may be of (none: any)."""
        return {}

    def fields_in(self) -> frozenset[str]:
        """The fields without which every row is refused."""
        return frozenset()

    def fields_wanted(self) -> frozenset[str]:
        """The fields that this step is for, and does nothing about in a row that lacks them."""
        return frozenset()

    def fields_named(self) -> frozenset[str]:
        """The fields that expressions of this step name. `Context.names` tells `setup` which of these are other names,
        those that the input has for them, and what the fields are called in rows.
        """
        return frozenset()

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields that every result row has if every row has `fields`; None: nobody can tell."""
        return None

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The only fields that a result row can have if a row can have only `fields`; None: nobody can tell."""
        return self.fields_out(fields)

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """The fields of every result row in their order, if every row has these in this order; None: not told.

        An output of which no row came gets its header from it. What a plugin does not tell follows from `fields_out`,
        where no field is added: then the fields stay where they were.
        """
        return None

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types of fields of result rows, by name, if a row's fields have `types`; what is left out is unknown.

        Types are those of schemas. A decimal, date or time is text in a row, so that only this tells what it is. A
        plugin that says nothing leaves these as they were, in fields that there are afterwards.
        """
        fields = self.fields_out(frozenset(types))
        there = types if fields is None else fields
        return {name: kind for name, kind in types.items() if kind in TYPED_KINDS and name in there}

    def check_types(self, types: Mapping[str, str]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """What of the options can work with no row whose fields have `types`: the option's key, and a sentence.

        Asked once before a run begins, in front of `check_references`.
        """
        return ()


class Transform(Changes):
    """Decides or changes one row at a time. `creates_rows` announces that `process` may return a list."""

    creates_rows: ClassVar[bool] = False

    @classmethod
    def side_outputs(cls, options: Mapping[str, Any]) -> Mapping[str, str]:
        """Where each side output leads with these options, by name: to a sink, a connection, or `discard`.

        The outcome of a row that leaves by one is `routed` or `discarded`, as behind a gate.
        """
        return {}

    def process(self, row: Row, ctx: Context) -> Row | list[Row] | SideOutput:
        """Return the new row, or a list of rows (may be empty) if `creates_rows`. Raise `RowError` to refuse it.

        `row` is a copy, and what is returned is copied: what happens to either later changes no record and no output.
        """
        raise NotImplementedError


class Aggregation(Changes):
    """Is given the rows of a whole batch, in order. Keeps nothing between batches: Elspeth holds the buffer.

    `result_fields` may say what each field of the result rows means, for `elspeth plugins inspect`. `output_modes` are
    those under which it can stand; in any other `validate` refuses it. With `counts_batches` Elspeth counts the node's
    batches and rows, through every death and resume, and says in `Context.batch` which batch this is.
    """

    counts_batches: ClassVar[bool] = False
    result_fields: ClassVar[Mapping[str, str]] = {}
    output_modes: ClassVar[tuple[str, ...]] = ("transform", "passthrough")

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """As for a transform; a plugin that says nothing makes new rows, of which nothing is known."""
        return {}

    def process(self, rows: list[Row], ctx: Context) -> list[Row] | list[Made] | list[Row | Made] | list[Made | Unfit]:
        """Return the batch's result rows: any number, or one per input row with `output_mode: passthrough`.

        An `Unfit` among them takes one row out of the batch. Raise `RowError` to refuse the batch as a whole.

        `rows` are copies, and what is returned is copied.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Cut:
    """A tail that `open` cut off an output, and where its copy is: it may be somebody's edit.

    `replaced`: it was all of a file that was there before the run, and is no work of a run on record.
    """

    path: str
    copy: str
    offset: int
    size_bytes: int
    sha256: str
    replaced: bool = False


class Sink(Plugin):
    """Writes rows. `exactly_once` means: can return to any position it answered and go on from there."""

    delivery: ClassVar[Delivery] = "exactly_once"

    def outputs(self) -> tuple[Path, ...]:
        """The files this sink writes, as the options name them; used to refuse two writers of one file."""
        return ()

    def inspect(self) -> Position:
        """The position before the first row, found by looking only: nothing is created, locked or changed.

        For `mode: append` it holds size and hash of what is there. Recorded in checkpoint 0 before `open` is called.
        """
        raise NotImplementedError

    def fields(self, position: Position) -> tuple[frozenset[str], frozenset[str]] | None:
        """The fields without which a row is refused, and all that one may have, where what is there already says so.

        Asked with what `inspect` answered, so that `validate` finds rows that can never be written.
        """
        return None

    def describe(self, position: Position) -> OutputInfo:
        """What a position that this sink answered says of its output. Looks at nothing but the position.

        A sink whose output is a file names it, with the size and SHA-256 that the position vouches for: `verify` and
        `doctor` hold the file against them. Any other sink says nothing, or the number of rows.
        """
        return OutputInfo()

    def check(self, position: Position) -> None:
        """Raise `OutputDamaged` unless the output still holds everything before `position`. Looks only."""

    def open(self, position: Position, *, replace: bool = False) -> list[Cut]:
        """Lock the output, check it like `check`, cut off what lies behind `position`, and be ready to write there.

        Raises `OutputDamaged`, or `RunInProgress` when another process holds the lock. With `replace` (a take-over
        from a frozen process) continue on a copy with a new inode renamed into place, instead of needing the lock.
        """
        raise NotImplementedError

    def write(self, rows: list[Row]) -> list[str | None]:
        """Write rows in order. The answer has one entry per row: None if it was taken, else why it was refused.

        A refused row leaves no byte behind. The rows may still be in a buffer when this returns.
        """
        raise NotImplementedError

    def begin_flush(self) -> None:
        """Begin what `flush`, which is called next, has to wait for. All sinks are asked before the first is flushed.

        A sink that has nothing to wait for, or cannot work beside others, leaves it as it is. Raises what `flush` does.
        """

    def flush(self) -> Position:
        """Make everything written durable (fsync) and return the position behind it."""
        raise NotImplementedError

    def finish(self) -> Position:
        """Write closing bytes if the format has any, make them durable, return the final position.

        May be called on an output that already has them (a crash between `finish` and the commit): the restore has
        cut them off again, so the bytes are always written once.
        """
        return self.flush()

    def close(self) -> None:
        """Let go of files and locks. Writes nothing."""
