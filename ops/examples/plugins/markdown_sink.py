"""A sink: a Markdown table. `FileSink` brings the way back to a position; a format adds only its bytes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from elspeth.plugins.contract import Row
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions


class MarkdownOptions(FileSinkOptions):
    """Options of the `markdown` sink, beside those of every file."""

    mode: Literal["write"] = Field("write", description="A table cannot be appended to.")
    title: str = Field("", description="A heading above the table.")


class Markdown(FileSink):
    """Writes a Markdown table whose columns are those of the first row."""

    name = "markdown"
    Options = MarkdownOptions
    options: MarkdownOptions

    _columns: list[str] | None = None

    def write(self, rows: list[Row]) -> list[str | None]:
        """One answer per row: None if it was taken, else why not. A refused row leaves no byte behind."""
        return [self._write_one(row) for row in rows]

    def _write_one(self, row: Row) -> str | None:
        if not row:
            return "the row has no fields"
        if self._columns is not None and list(row) != self._columns:
            return f"the row has the fields {', '.join(row)} and not {', '.join(self._columns)}"
        text = _line(row.values())
        if self._columns is None:
            heading = f"# {self.options.title}\n\n" if self.options.title else ""
            text = heading + _line(row) + _line("---" for _ in row) + text
        try:
            data = text.encode(self.codec)
        except UnicodeEncodeError as error:
            return f"{text[error.start]!r} cannot be written in {self.options.encoding}"
        self._columns = list(row)
        self.put(data, rows=1)
        return None

    def state(self) -> dict[str, Any]:
        """What another process must know to go on; recorded with the position."""
        return {"columns": self._columns}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._columns = state.get("columns")


def _line(cells: Any) -> str:
    texts = (str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(texts)} |\n"
