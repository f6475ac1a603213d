"""What all sinks that write a file share: options, the way back to a position, counting, closing bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from actors.crash_points import crash_point
from elspeth.errors import ElspethError
from elspeth.outputs import OutputInfo, Replaced
from elspeth.plugins.compression.kinds import Compression, Kind, kind_of, plain_path, require_installed
from elspeth.plugins.contract import Cut, PluginOptions, Position
from elspeth.plugins.sinks.encodings import Encoding, find_encoding
from elspeth.plugins.sinks.files import FileOutput
from elspeth.plugins.sinks.positioned import PositionedSink
from elspeth.plugins.sinks.preflight import CollisionPolicy, inspect_place

if TYPE_CHECKING:
    from elspeth.plugins.compression.packing import Packer


class FileSinkOptions(PluginOptions):
    """Options of every sink that writes a file."""

    path: Path = Field(description="The file to write; missing folders are created.")
    mode: Literal["write", "append"] = Field(
        "write", description="`write` makes a new file, `append` goes on behind what is there."
    )
    collision_policy: CollisionPolicy | None = Field(
        None,
        description="With `mode: write`, what to do when the file exists: `overwrite` (default), `fail` (or "
        "`fail_if_exists`), `auto_increment`, which takes the first free of results.csv, results_1.csv, ..., or "
        "`append_or_create`, which is the same as `mode: append`.",
    )
    compression: Compression = Field(
        "auto",
        description="How the file is compressed; auto: by its suffix, `.gz`, `.bz2`, `.xz` or `.zst`, else not at all. "
        "Each commit ends a member, so a file of frequent commits is larger; what it unpacks to is the same.",
    )
    file_mode: str | None = Field(
        None,
        pattern="^0?[0-7]{3}$",
        description='Who may read and write a file that is created, octal and in quotes: `"0640"`. Left out, the '
        "umask says it. A file that is there keeps its mode.",
    )
    encoding: str = Field("utf-8", description="Character encoding; a row it cannot express is refused.")
    headers: Literal["original", "normalized"] | dict[str, str] | None = Field(
        None,
        description="Names to write in place of the row's: `original` for those of the input, `normalized` for the "
        "row's, as without this, or a mapping from the row's names.",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        find_encoding(name)
        return name

    @field_validator("headers")
    @classmethod
    def _distinct(cls, headers: Any) -> Any:
        if isinstance(headers, dict) and len(set(headers.values())) < len(headers):
            raise ValueError("two fields are given the same name")
        return headers

    @model_validator(mode="after")
    def _collisions_only_on_write(self) -> FileSinkOptions:
        if self.mode == "append" and self.collision_policy not in (None, "append_or_create"):
            raise ValueError("collision_policy is for mode: write; with mode: append the file may exist")
        return self

    @model_validator(mode="after")
    def _can_be_packed(self) -> FileSinkOptions:
        require_installed(self.compression, self.path)
        return self

    @property
    def kind(self) -> Kind | None:
        """How the file is compressed, None where it is not."""
        return kind_of(self.compression, self.path)

    @property
    def plain_suffix(self) -> str:
        """The suffix of the path in lower case, that of a compression passed over."""
        return plain_path(self.compression, self.path).suffix.lower()

    @property
    def appends(self) -> bool:
        """Whether the sink goes on behind what is in the file."""
        return self.mode == "append" or self.collision_policy == "append_or_create"


class FileSink(PositionedSink):
    """A sink that writes one file. A format adds `write` and, where it has any, state, first and closing bytes."""

    options: FileSinkOptions

    def __init__(self, options: FileSinkOptions) -> None:
        super().__init__(options)
        self._encoding: Encoding = find_encoding(options.encoding)
        self._packer = self._new_packer()
        self._position: Position = {}
        self._output: FileOutput | None = None
        self._checked: FileOutput | None = None
        self._rows = 0

    def outputs(self) -> tuple[Path, ...]:
        """The file, as the options name it."""
        return (self.options.path,)

    def inspect(self) -> Position:
        """The position before the first row; see `inspect_place`. Raises `SettingsError` or `Temporary`."""
        options = self.options
        position = inspect_place(
            options.path, options.mode, options.collision_policy or "overwrite",
            plain_path(options.compression, options.path).suffix,
        )  # fmt: skip
        return position | {"format": self.first_state(position)}

    def describe(self, position: Position) -> OutputInfo:
        """The file, and what the position vouches for."""
        replaces = (position.get("base") or {}).get("replaces")
        return OutputInfo(
            path=position["path"],
            resolved=position.get("resolved") or position["path"],
            size=position["size"],
            sha256=position["sha256"],
            rows=position["rows"],
            replaces=Replaced(replaces["size"], replaces["mtime_ns"]) if replaces else None,
        )

    def check(self, position: Position) -> None:
        """Raise `OutputDamaged` unless the file still holds everything before `position`."""
        self._checked = self._output_at(position)
        self._checked.check(position["size"], position["sha256"])

    def lock(self, position: Position) -> None:
        """Lock the file; see `FileOutput.lock`."""
        self._begin(position).lock(position["size"])

    def cut(self, position: Position) -> list[Cut]:
        """Check its beginning and cut off the rest; see `FileOutput.cut`."""
        return self.output.cut(position)

    def take_over(self, position: Position) -> list[Cut]:
        """Go on in a copy under the same name; see `FileOutput.take_over`."""
        return self._begin(position).take_over(position, self.prove)

    def resume(self, position: Position) -> None:
        """Go on counting, and give the format its state back."""
        self._position = position
        self._packer = self._new_packer()
        self._rows = position["rows"]
        self.restore_state(position.get("format") or {})

    def _begin(self, position: Position) -> FileOutput:
        """The output of a position; one that `check` has read is not read again."""
        output = self._checked or self._output_at(position)
        if output.path != Path(position["path"]):
            output = self._output_at(position)
        self._checked = None
        self._output = output
        return output

    def begin_flush(self) -> None:
        """Write what was given, and begin to make it durable; see `FileOutput.begin_flush`."""
        self._end_member()
        self.output.begin_flush()

    def flush(self) -> Position:
        """Make everything written durable and return the position behind it."""
        self._end_member()
        size, sha256 = self.output.flush()
        self._position = self._position | {
            "size": size,
            "sha256": sha256,
            "rows": self._rows,
            "format": self.state(),
        }
        return self._position

    def finish(self) -> Position:
        """Write the closing bytes, once, and return the final position."""
        if self._position.get("finished"):
            return self._position
        crash_point("sink.before_closing")
        self.put(self.closing())
        if self._packer is not None and self._at_start:
            self.output.write(self._packer.add(b""))  # a file of no bytes is no compressed file of nothing
        position = self.flush()
        crash_point("sink.after_closing")
        self._position = position | {"finished": True}
        return self._position

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self._output is not None:
            self._output.close()
        self._output = None

    @property
    def codec(self) -> str:
        """The codec for `str.encode`; any piece can be encoded by itself, the mark is added by `put`."""
        return self._encoding.codec

    @property
    def output(self) -> FileOutput:
        """The open output. Raises `ElspethError` when a method is called out of order."""
        if self._output is None:
            raise ElspethError(f"Sink {self.name} was used before it was opened.")
        return self._output

    def put(self, data: bytes, rows: int = 0) -> None:
        """Write encoded bytes that hold this many rows; the encoding's mark goes before the first of a file."""
        output = self.output
        if not data:
            return
        if self._position.get("finished"):
            raise ElspethError(f"Sink {self.name} was given rows after its end.")
        self._rows += rows  # even if the disk does not take them now: they are kept for the next flush
        plain = self._encoding.mark + data if self._at_start else data
        output.write(plain if self._packer is None else self._packer.add(plain))

    @property
    def _at_start(self) -> bool:
        return self.output.end == 0 and not (self._packer is not None and self._packer.inside)

    def _end_member(self) -> None:
        """So that the position to come is where a reader may stop, and a writer go on."""
        if self._packer is not None and self._packer.inside:
            crash_point("sink.before_member_end")
            self.output.write(self._packer.end())
            crash_point("sink.after_member_end")

    def _new_packer(self) -> Packer | None:
        kind = self.options.kind
        if kind is None:
            return None
        from elspeth.plugins.compression.packing import Packer  # with its libraries, and few outputs are compressed

        return Packer(kind)

    def first_state(self, position: Position) -> dict[str, Any]:
        """What the format must know of an output that no row was written to yet. Looks only."""
        return {}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave, in another process perhaps."""

    def state(self) -> dict[str, Any]:
        """What the format must know to go on behind the position; JSON can hold it."""
        return {}

    def closing(self) -> bytes:
        """The bytes that end the file."""
        return b""

    def _output_at(self, position: Position) -> FileOutput:
        mode = self.options.file_mode
        return FileOutput(
            Path(position["path"]),
            self._context.state_directory / "cut",
            None if mode is None else int(mode, 8),
            keeps_replaced=self._context.keeps_replaced,
        )
