"""The `text` sink: one field of each row, one line per row."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from elspeth.plugins.contract import ERROR_FIELDS, Position, Row, RowError
from elspeth.plugins.sinks.existing import last_bytes
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions


class TextSinkOptions(FileSinkOptions):
    """Options of the `text` sink."""

    field: str | None = Field(
        None, alias="column", description="The field to write (also `field`); without it a row must have just one."
    )
    headers: None = Field(None, description="A text file has no names.")


class TextSink(FileSink):
    """Writes text lines. A value that is no text, or has a line end in it, is refused: it would read back as others."""

    name = "text"
    Options = TextSinkOptions
    options: TextSinkOptions

    def __init__(self, options: TextSinkOptions) -> None:
        super().__init__(options)
        self._line_end_due = False

    def write(self, rows: list[Row]) -> list[str | None]:
        """Write rows in order; see `Sink.write`. Raises `Temporary` or `OutputDamaged`."""
        answers: list[str | None] = []
        lines: list[bytes] = []
        for row in rows:
            try:
                lines.append(self._line(row))
                answers.append(None)
            except RowError as error:
                answers.append(error.reason)
        if lines:
            before = "\n".encode(self.codec) if self._line_end_due else b""
            self._line_end_due = False
            self.put(before + b"".join(lines), len(lines))
        return answers

    def first_state(self, position: Position) -> dict[str, Any]:
        """For `append`: whether the last line there still wants its end."""
        if position["size"] == 0 or not self.options.appends:
            return {}
        end = "\n".encode(self.codec)
        last = last_bytes(self.options.path, self.options.kind, len(end))
        return {} if last in (b"", end) else {"line_end_due": True}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back whether a line end is due."""
        self._line_end_due = bool(state.get("line_end_due"))

    def state(self) -> dict[str, Any]:
        """Whether a line end is due before the next line."""
        return {"line_end_due": True} if self._line_end_due else {}

    def _line(self, row: Row) -> bytes:
        name = self.options.field
        if name is None:
            with_errors = ERROR_FIELDS[-1] in self._context.evidence
            own = [key for key in row if not with_errors or key not in ERROR_FIELDS] or list(row)
            if len(own) != 1:
                raise RowError(f"the row has {len(own)} fields, and the sink's option `field` does not say which")
            (name,) = own
        if name not in row:
            raise RowError(f"the row has no field {name}")
        value = row[name]
        if not isinstance(value, str):
            if value is None or isinstance(value, float | list | dict):
                raise RowError(f"field {name} holds {_kind(value)}, not text")
            value = str(value).lower() if isinstance(value, bool) else str(value)
        if "\n" in value or "\r" in value:
            raise RowError(f"field {name} has a line end in it, so it is not one line")
        try:
            return (value + "\n").encode(self.codec)
        except UnicodeEncodeError as error:
            raise RowError(
                f"field {name} holds {value[error.start]!r}, which the encoding {self.codec} cannot express"
            ) from None


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
