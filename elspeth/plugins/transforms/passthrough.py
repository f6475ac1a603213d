"""Hands every row on as it is: a named place in the graph, with nothing done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from elspeth.plugins.contract import Context, PluginOptions, Row, Transform


class PassthroughOptions(PluginOptions):
    """No options of its own."""


class Passthrough(Transform):
    """Hands every row on unchanged."""

    name: ClassVar[str] = "passthrough"
    Options = PassthroughOptions
    options: PassthroughOptions

    def process(self, row: Row, ctx: Context) -> Row:
        """The row itself: it belongs to Elspeth and is not changed by anybody."""
        return row

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields."""
        return fields

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The same types."""
        return types
