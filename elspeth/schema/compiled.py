"""Functions made for one schema, that read or check a row in about a microsecond.

They are the straight line through a row that fits; anything else takes the slow and talkative path of `values`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from elspeth.schema.spec import FieldSpec, RowSchema
from elspeth.schema.text_forms import TextForms
from elspeth.schema.typed_text import TYPED_KINDS
from elspeth.schema.values import FAILURES, Row, SchemaError, check_value, float_of, mismatches, presence, read_value


def compile_reader(schema: RowSchema, forms: TextForms | None = None) -> Callable[[Row], Row]:
    """A function from a row as read (text or typed values) to a new row of typed values, in the row's own order.

    Missing optional fields are added at the end as None. The function raises `SchemaError`. In mode `observed` it
    returns the very row it is given. `forms` say how texts are spelled. Raises `ValueError` where they do not fit.
    """
    formed = forms.converters({spec.name: spec.type for spec in schema.fields}) if forms is not None else {}

    def read(value: Any, spec: FieldSpec) -> Any:
        return read_value(value, spec, formed.get(spec.name))

    body = []
    for i, spec in enumerate(schema.fields):
        body += [f"v = row.get(N{i})" if spec.optional else f"v = row[N{i}]"]
        kind, plain = spec.type, f"out[N{i}] = v"
        if spec.optional:
            body += [f"if v is None or v == '': out[N{i}] = None", "else:"]
        pad = "  " if spec.optional else ""
        if kind == "any":
            body += [pad + plain]
        elif kind == "str":
            body += [pad + "if v.__class__ is not str: raise ValueError", pad + plain]
        elif kind in TYPED_KINDS or spec.name in formed:
            body += [pad + f"out[N{i}] = read_value(v, S{i})"]
        else:
            convert = {
                "int": "int(v) if v.isdigit() and v.isascii() else read_value(v, S{i})",
                "float": "read_value(v, S{i})" if spec.optional else "float_of(v)",
                "bool": "read_value(v, S{i})",
            }[kind]
            body += [
                pad + f"if v.__class__ is str: out[N{i}] = {convert.format(i=i)}",
                pad + f"else: out[N{i}] = check_value(v, S{i}, widen=True)",
            ]
    body += [f"row[{name!r}]" for name in presence(schema)]
    if schema.mode == "fixed":
        body += [f"if len(out) != {len(schema.fields)}: raise ValueError"]
    if not body:
        return lambda row: row
    first = "out = row.copy()" if schema.fields else "out = row"
    return _compile(schema, [first, *body, "return out"], read if formed else read_value)


def compile_checker(schema: RowSchema) -> Callable[[Row], None]:
    """A function that raises `SchemaError` unless a row of typed values fits; text is never taken for a number."""
    body = []
    for i, spec in enumerate(schema.fields):
        body += [f"v = row.get(N{i})" if spec.optional else f"v = row[N{i}]"]
        if spec.type in ("int", "str", "bool"):
            test = f"v.__class__ is not {spec.type}" + (" and v is not None" if spec.optional else "")
            body += [f"if {test}: raise ValueError"]
        elif spec.type == "float":
            body += [f"if v.__class__ is not float or v - v != 0.0: check_value(v, S{i})"]
        elif spec.type in TYPED_KINDS:
            body += [f"check_value(v, S{i})"]
    body += [f"row[{name!r}]" for name in presence(schema)]
    if schema.mode == "fixed":
        optional = [i for i, spec in enumerate(schema.fields) if spec.optional]
        count = " + ".join([str(len(schema.fields) - len(optional)), *(f"(N{i} in row)" for i in optional)])
        body += [f"if len(row) != {count}: raise ValueError"]
    return cast(Callable[[Row], None], _compile(schema, body or ["pass"], check_value))


def _compile(schema: RowSchema, body: list[str], value_of: Callable[[Any, FieldSpec], Any]) -> Callable[[Row], Row]:
    # Names of fields reach the code only as constants N0, N1, ... or through repr: nothing in a schema is executed.
    lines = ["def function(row):", " try:", *("  " + line for line in body)]
    lines += [" except failures as error:", "  raise SchemaError(mismatches(row)) from error"]
    space: dict[str, Any] = {
        "float_of": float_of, "read_value": value_of, "check_value": check_value, "SchemaError": SchemaError,
        "failures": FAILURES, "mismatches": lambda row: mismatches(schema, row, value_of),
    }  # fmt: skip
    for i, spec in enumerate(schema.fields):
        space[f"N{i}"], space[f"S{i}"] = spec.name, spec
    exec(compile("\n".join(lines), "<row schema>", "exec"), space)
    return cast(Callable[[Row], Row], space["function"])
