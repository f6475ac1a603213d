"""Asks a language model about each row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from elspeth.calls.model import Answer, Chat, Terms, Usage
from elspeth.errors import SettingsError
from elspeth.plugins.contract import Context, Determinism, Row, RowError, Transform
from elspeth.plugins.services import extras, lookups
from elspeth.plugins.services.options import LlmOptions, QueryOptions

if TYPE_CHECKING:
    from elspeth.plugins.services.query import Query


class Llm(Transform):
    """Asks a language model about each row, on record, and takes its answer into the row.

    `provider` names an account in the settings' `providers`. What a row holds goes into the question, never into what
    the model is told as system. An answer that was used is never asked for again.
    """

    name: ClassVar[str] = "llm"
    determinism: ClassVar[Determinism] = "nondeterministic"
    Options = LlmOptions
    options: LlmOptions

    def __init__(self, options: LlmOptions) -> None:
        super().__init__(options)
        extras.require(self.name)
        self._queries: tuple[Query, ...] | None = None
        if not self.reference_files():
            self._queries = self._built()

    def setup(self, ctx: Context) -> None:
        """Reads prompts and tables. Raises `SettingsError` for whatever is wrong with them."""
        if self._queries is None:
            self._queries = self._built()

    def reference_files(self) -> tuple[Path, ...]:
        """The files of prompts, of the system's part, and of tables."""
        prompts = [query.prompt_file for query in self.options.queries().values()]
        named = [path for path in (*prompts, self.options.system_file) if path is not None]
        return tuple(dict.fromkeys((*named, *lookups.files(self.options.lookups))))

    def check_references(self) -> None:
        """Raise `SettingsError` where a file cannot be read, or a prompt cannot be rendered within bounds."""
        for query in self._built():
            query.check()

    def providers(self) -> dict[str, tuple[str, ...]]:
        """The account that is asked, of a kind that is a language model's."""
        return {self.options.provider: ("openai", "azure", "anthropic")}

    def process(self, row: Row, ctx: Context) -> Row:
        """The row with the fields of all answers. Raises `RowError` where one that is needed cannot be had."""
        assert self._queries is not None
        terms = {"on_unknown": self.options.on_unknown, "record": self.options.record}
        price = self.options.price.price()

        def ask(chat: Chat, name: str, expected: Usage) -> Answer:
            return ctx.call(
                self.options.provider,
                chat,
                name,
                terms=Terms(**terms, price=price, expected=expected),  # type: ignore[arg-type]
            )

        found: Row = {}
        for query in self._queries:
            try:
                found |= query.ask(row, ask)
            except RowError:
                if not query.optional:
                    raise
                found |= query.empty()
        return {**row, **found}

    def chats(self, row: Row) -> dict[str, Chat]:
        """What would be asked about this row, by the name of the question. Raises `RowError`."""
        return {query.name: query.chat(row) for query in self._queries or ()}

    def fields_in(self) -> frozenset[str]:
        """The fields that every question needs, as far as prompts can be read now."""
        try:
            queries = self._queries or self._built()
        except SettingsError:
            return frozenset()  # said where files are looked at
        return frozenset().union(*(query.fields() for query in queries if not query.optional))

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields before, and those of the answers."""
        return fields | set(self._names())

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """Answers stand behind what there was, in the order of the questions."""
        return tuple(dict.fromkeys((*order, *self._names())))

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before, of fields that no answer takes the place of."""
        return {name: kind for name, kind in super().types_out(types).items() if name not in self._names()}

    def _names(self) -> tuple[str, ...]:
        outputs = [query.output for query in self.options.queries().values() if query.output is not None]
        return tuple(name for output in outputs for name in output.names())

    def _built(self) -> tuple[Query, ...]:
        from elspeth.plugins.services.query import Query  # Jinja2 is an extra

        options = self.options
        system = options.system or ""
        if options.system_file is not None:
            system = lookups.read_text(options.system_file, "the system's part", ("system_file",))
        tables = lookups.tables(options.lookups)
        return tuple(
            Query(name, query, options, self._text(name, query), system, tables)
            for name, query in options.queries().items()
        )

    def _text(self, name: str, query: QueryOptions) -> str:
        if query.prompt_file is not None:
            return lookups.read_text(query.prompt_file, "the prompt", self.options.prompt_option(name))
        return query.prompt_template or ""
