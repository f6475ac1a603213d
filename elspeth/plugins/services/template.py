"""A text with places for what rows and look-up tables hold: compiled once, rendered for each row, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes

from elspeth.errors import SettingsError
from elspeth.plugins.contract import RowError
from elspeth.plugins.options import KeyPath
from elspeth.plugins.services.sandbox import Environment, RowView, TooMuch, begin, sized

_ENVIRONMENT = Environment()
_ROW = "row"


class Template:
    """One text. `fields` are those of the row without which no rendering succeeds.

    `where` says in errors which text it is, `option` in which option it stands. Raises `SettingsError` for what is no
    template.
    """

    def __init__(
        self, text: str, where: str, *, option: KeyPath = (), finalize: Any = None, names: frozenset[str] = frozenset()
    ) -> None:
        self._where, self._option = where, option
        environment = _ENVIRONMENT if finalize is None else _ENVIRONMENT.overlay(finalize=finalize)
        begin()
        try:
            tree = environment.parse(text)
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise SettingsError(
                f"{where} is no template: line {error.lineno}: {error.message}", option=option
            ) from None
        except TemplateError as error:
            raise SettingsError(f"{where}: {error}", option=option) from None
        except (RecursionError, MemoryError, ArithmeticError, ValueError, TypeError) as error:
            raise SettingsError(f"{where} is no template: {type(error).__name__}: {error}", option=option) from None
        unknown = sorted(meta.find_undeclared_variables(tree) - names - {_ROW, "range", "dict", "namespace"})
        if unknown:
            raise SettingsError(
                f"{where} uses {unknown[0]!r}, and there is nothing of this name; fields are row.NAME",
                details=[f"there are: {', '.join(sorted(names | {_ROW}))}"],
                option=option,
            )
        self.fields = frozenset(_certain(tree.body))

    def render(self, row: Mapping[str, Any], more: Mapping[str, Any]) -> str:
        """The text for this row. Raises `RowError` for a field that is not there, or a rendering without bounds."""
        begin()
        found = []
        size = 0
        try:
            for piece in self._template.generate({**more, _ROW: RowView(row)}):
                size += len(piece)
                sized(size if len(piece) > 100 or size > 10**6 else 0)
                found.append(piece)
        except UndefinedError as error:
            raise RowError(f"{self._where}: {error.message}", fields=list(row)[:50]) from None
        except TooMuch as error:
            raise RowError(f"{self._where}: {error}", bound=True) from None
        except (RecursionError, MemoryError):
            raise RowError(f"{self._where}: the template calls itself without end", bound=True) from None
        except Exception as error:  # noqa: BLE001 - a template is code of the user's: whatever it raises is this row's
            raise RowError(f"{self._where}: {type(error).__name__}: {error}") from None
        return "".join(found)

    def check(self, fields: frozenset[str], more: Mapping[str, Any]) -> None:
        """Render with a row of these fields. Raises `SettingsError` where no row could be rendered within bounds."""
        try:
            self.render(dict.fromkeys(fields, ""), more)
        except RowError as error:
            # That an empty text is no number, say, tells nothing of rows.
            if error.details.get("bound"):
                raise SettingsError(error.reason, option=self._option) from None


def _certain(body: list[nodes.Node]) -> set[str]:
    """The fields that every rendering asks for: not in a branch, in a loop, or under `default` or `defined`."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, nodes.If | nodes.CondExpr):
            found |= _certain([node.test])
        elif isinstance(node, nodes.For):
            found |= _certain([node.iter])
        elif isinstance(node, nodes.And | nodes.Or):
            found |= _certain([node.left])
        elif isinstance(node, nodes.Macro | nodes.CallBlock | nodes.Test) or _has_default(node):
            continue
        elif (name := _field(node)) is not None:
            found.add(name)
        else:
            found |= _certain(list(node.iter_child_nodes()))
    return found


def _has_default(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Filter) and node.name in ("default", "d")


def _field(node: nodes.Node) -> str | None:
    if not isinstance(node, nodes.Getattr | nodes.Getitem) or not isinstance(node.node, nodes.Name):
        return None
    if node.node.name != _ROW:
        return None
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None
