"""Options of every source that reads files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from elspeth.plugins.compression.kinds import Compression, plain_path, require_installed
from elspeth.plugins.sources.spelling import SpellingOptions
from elspeth.schema import RowSchema

STDIN = Path("-")
"""What stands for standard input where the path of a source is wanted."""


class FileOptions(SpellingOptions):
    """Options of every source that reads a file."""

    path: Path | tuple[Path, ...] = Field(
        description="The file to read, relative to the working directory; or many: a pattern such as `in/*.csv`, a "
        "folder, or a list of these; or `-`, standard input, which is kept in a file before the run begins."
    )
    file_field: str | None = Field(
        default=None, min_length=1, description="The name of a further field that holds the path of each row's file."
    )
    compression: Compression = Field(
        default="auto",
        description="How the file is compressed; auto: by its suffix, `.gz`, `.bz2`, `.xz` or `.zst`, else not at all.",
    )
    max_expansion: int = Field(
        default=100,
        gt=0,
        description="A compressed file may unpack to so many times its size, and to 16 MiB in any case; where it goes "
        "on, the run stops.",
    )
    on_empty: Literal["warn", "refuse"] = Field(
        default="warn", description="What a file without a byte in it is: said, or refused before anything is written."
    )
    raw: str | None = Field(
        default=None,
        min_length=1,
        description="The name of a further field that holds each row's text as it was read, without its line end.",
    )

    @model_validator(mode="after")
    def _can_be_unpacked(self) -> FileOptions:
        for path in self.paths:
            require_installed(self.compression, path)
        return self

    @property
    def paths(self) -> tuple[Path, ...]:
        """What `path` names, as a list of one or more."""
        return self.path if isinstance(self.path, tuple) else (self.path,)

    @property
    def reads_stdin(self) -> bool:
        """Whether it is standard input that is read."""
        return self.path == STDIN

    @property
    def plain_suffix(self) -> str:
        """The suffix of the (first) path in lower case, that of a compression passed over."""
        return plain_path(self.compression, self.paths[0]).suffix.lower()

    @field_validator("path", mode="before")
    @classmethod
    def _not_taken_for_stdin(cls, path: Any) -> Any:
        for one in path if isinstance(path, list | tuple) else (path,):
            if isinstance(one, str) and one != "-" and Path(one) == STDIN:
                raise ValueError("a file called `-` is given with the name of its folder, or renamed: `-` is stdin")
        return path

    @field_validator("path")
    @classmethod
    def _some_path(cls, path: Any) -> Any:
        if path == ():
            raise ValueError("a list of files needs one at least")
        if isinstance(path, tuple) and STDIN in path:
            raise ValueError("`-`, standard input, stands alone: it is no file of a list")
        return path

    @model_validator(mode="after")
    def _named_by_the_schema(self) -> FileOptions:
        schema = RowSchema.parse(self.schema_)
        for option, name in (("raw", self.raw), ("file_field", self.file_field)):
            if name is not None and schema.mode == "fixed" and name not in {field.name for field in schema.fields}:
                raise ValueError(f"the schema is fixed, so it must name the field of option {option}: '{name}: str'")
        if self.raw is not None and self.raw == self.file_field:
            raise ValueError("raw and file_field give their fields the same name")
        return self
