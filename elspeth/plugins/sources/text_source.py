"""One row per line of a text file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from elspeth.plugins.contract import Cursor, Invalid, PluginOptions, Row, SourceInfo
from elspeth.plugins.sources.file_options import FileOptions
from elspeth.plugins.sources.files import FileSource
from elspeth.plugins.sources.hashed_file import AT_END
from elspeth.plugins.sources.lines import Overlong, check_encoding, detect, last_lines_at, plain_lines
from elspeth.plugins.sources.one_file import OneFile


class TextOptions(FileOptions):
    """Options of the text source."""

    column: str = Field(default="text", min_length=1, description="The name of the one field of a row.")
    strip_whitespace: bool = Field(default=True, description="Take white space off both ends of each line.")
    skip_blank_lines: bool = Field(default=True, description="Pass over lines of nothing but white space.")
    skip_footer: int = Field(
        default=0, ge=0, le=1000, description="Lines to pass over at the end of the file, whatever they hold."
    )
    encoding: str = Field(
        default="utf-8", description="utf-8, utf-16, latin-1, cp1252, ...; a byte-order mark is fine."
    )
    max_row_bytes: int = Field(default=16 << 20, gt=0, description="A longer line is invalid; this bounds memory.")

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        check_encoding(value)
        return value

    @model_validator(mode="after")
    def _two_fields(self) -> TextOptions:
        if self.raw == self.column:
            raise ValueError("column and raw give their fields the same name")
        return self


class TextFile(OneFile):
    """A single file; see `TextSource`."""

    def describe(self) -> SourceInfo:
        info = super().describe()
        detect(self.options.encoding, self._prefix.head(64), self.path)
        return info

    def _begins_at(self) -> int:
        return detect(self.options.encoding, self._prefix.head(4), self.path).bom_bytes

    @property
    def _left_out(self) -> Callable[[Iterator[bytes]], int] | None:
        if not self.options.skip_footer:
            return None
        encoding = detect(self.options.encoding, self._prefix.head(64), self.path)
        return lambda blocks: last_lines_at(blocks, encoding, self.options.skip_footer)

    def _no_rows(self) -> bytes:
        return b" \t\r\n\v\f\0" if self.options.skip_blank_lines else b""

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        options = self.options
        column, strip, skip, limit = (
            options.column, options.strip_whitespace, options.skip_blank_lines, options.max_row_bytes,
        )  # fmt: skip
        keep = options.raw
        encoding = detect(options.encoding, self._prefix.head(4), self.path)
        codec, newline = encoding.codec, encoding.newline
        offset, line, *state = cursor or (encoding.bom_bytes, 0)
        if self._left_out is not None:
            self._prefix.leave_out(self._left_out)
        with self._prefix.start(offset, at_end=state == [AT_END]) as file:
            for raw in plain_lines(file, encoding, limit):
                line += 1
                item: Row | Invalid
                if isinstance(raw, Overlong):
                    offset += raw.size
                    ended = raw.ended
                    problem = f"has {raw.size:,} bytes where max_row_bytes allows {limit:,}"
                    item = Invalid(encoding.shown(raw.head), problem, line)
                else:
                    offset += len(raw)
                    ended = raw.endswith(newline)
                    try:
                        text = raw.decode(codec)
                    except UnicodeDecodeError as error:
                        problem = f"is not {codec}: {error.reason} at byte {error.start + 1} of the line"
                        item = Invalid(encoding.shown(raw), problem, line)
                    else:
                        if skip and not text.strip():
                            continue
                        if ended:
                            text = text[:-1].removesuffix("\r")
                        if "\0" in text:
                            item = Invalid(encoding.shown(raw), "contains a NUL byte", line)
                        else:
                            item = {column: text.strip() if strip else text}
                            if keep is not None:
                                item[keep] = encoding.line(raw)
                file.mark = offset
                self._unfinished = not ended
                at: list[Any] = [offset, line] if ended else [offset, line, AT_END]
                yield item, at


class TextSource(FileSource):
    """Lines as rows of one field, without their line ends (LF or CRLF).

    A line with a NUL, with bytes that are not of the encoding, or beyond `max_row_bytes` comes as `Invalid`.
    """

    name = "text"
    one = TextFile
    Options: ClassVar[type[PluginOptions]] = TextOptions
