"""Row schemas: what rows look like, and how they are read and checked by it.

A schema has one of three modes. `observed` takes what comes; `fixed` means exactly the named fields; `flexible` means
the named fields and any others.
"""

from elspeth.schema.compiled import compile_checker, compile_reader
from elspeth.schema.headers import lower_headers, normalise_headers
from elspeth.schema.spec import FieldSpec, FieldType, Mode, RowSchema
from elspeth.schema.values import Mismatch, SchemaError

__all__ = [
    "FieldSpec",
    "FieldType",
    "Mismatch",
    "Mode",
    "RowSchema",
    "SchemaError",
    "compile_checker",
    "compile_reader",
    "lower_headers",
    "normalise_headers",
]
