"""One question about a row: how it is put, how its answer is read, and what is asked again where it does not do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elspeth.calls.model import Answer, Chat, Message, Usage
from elspeth.plugins.contract import Row, RowError
from elspeth.plugins.services.answers import Schema, Unmet, at_path, parse_json
from elspeth.plugins.services.options import LlmOptions, OutputOptions, QueryOptions, ResponseOptions
from elspeth.plugins.services.template import Template

Ask = Callable[[Chat, str, Usage], Answer]
"""Asks a question under a name, with the tokens that it may take."""

EXPECTED_OUTPUT_TOKENS = 1024
"""What an answer is expected to take, at most, where `parameters` has no bound."""

_CHARACTERS_PER_TOKEN = 3  # fewer than there are in most texts, so that the estimate is rather too high
_TOKENS_PER_MESSAGE = 8
_LONGEST_SHOWN = 2000
_BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


class Query:
    """One question of a step. `name` is empty where the step has only one."""

    def __init__(
        self, name: str, options: QueryOptions, step: LlmOptions, text: str, system: str, lookup: Mapping[str, Any]
    ) -> None:
        assert options.response is not None
        assert options.output is not None
        self.name, self.optional = name, options.optional
        self._inputs, self._system, self._step = options.inputs, system, step
        self._response: ResponseOptions = options.response
        self.output: OutputOptions = options.output
        self._lookup = lookup
        where = f"the prompt of {name!r}" if name else "the prompt"
        known = frozenset({"lookup", *options.inputs})
        self.template = Template(text, where, option=step.prompt_option(name), names=known)
        schema = self._response.schema_
        at = step.schema_option(name)
        self._schema = Schema(schema, f"the schema of {where}", at) if schema is not None else None
        self._where = f"{name!r}: " if name else ""

    def fields(self) -> frozenset[str]:
        """The fields of a row without which it cannot be asked."""
        return self.template.fields - set(self._inputs) | set(self._inputs.values())

    def check(self) -> None:
        """Render with a row that has all it needs. Raises `SettingsError` where nothing could be rendered."""
        more = {"lookup": self._lookup, **dict.fromkeys(self._inputs, "")}
        self.template.check(self.fields() | set(self._inputs), more)

    def chat(self, row: Row) -> Chat:
        """The question about this row. Raises `RowError` where it cannot be put."""
        missing = next((field for field in self._inputs.values() if field not in row), None)
        if missing is not None:
            raise RowError(f"{self._where}the row has no field {missing!r}", field=missing, fields=list(row)[:50])
        inputs = {name: row[field] for name, field in self._inputs.items()}
        text = self.template.render({**row, **inputs}, {"lookup": self._lookup, **inputs})
        system = (Message("system", self._system),) if self._system else ()
        return Chat(
            model=self._step.model or "",
            messages=(*system, Message("user", text)),
            parameters=self._step.parameters,
            json=self._response.format == "json",
            schema=self._response.schema_,
        )

    def ask(self, row: Row, ask: Ask) -> Row:
        """The fields that the answer becomes. Raises `RowError` where there is none of the form that is wanted."""
        chat = self.chat(row)
        again = self._response.ask_again if self._response.on_invalid == "ask_again" else 0
        for number in range(again + 1):
            name = f"{self.name}/{number}" if number else self.name
            answer = ask(chat, name, expected(chat))
            exchange = answer.exchange
            if exchange.finish_reason == "content_filter":
                if self._step.on_content_filter == "empty":
                    return self.empty()
                raise self._error("the content filter refused it", "content_filter", exchange.message or exchange.text)
            if exchange.finish_reason == "length" and self._step.on_length == "error":
                raise self._error("the answer was cut at the bound of its length", "length", exchange.text)
            try:
                return self._fields(answer)
            except Unmet as unmet:
                why = str(unmet)
                if number == again:
                    times = f", asked {again + 1} times" if again else ""
                    raise self._error(f"the answer is not what was asked for{times}: {why}", "invalid_answer",
                                      exchange.text) from None  # fmt: skip
            told = Message(
                "user", f"That answer cannot be used: {why}. Answer again, with nothing but what was asked for."
            )
            chat = Chat(model=chat.model, messages=(*chat.messages, Message("assistant", exchange.text), told),
                        parameters=chat.parameters, json=chat.json, schema=chat.schema)  # fmt: skip
        raise AssertionError("the last answer was returned or refused")

    def empty(self) -> Row:
        """The fields without an answer."""
        return dict.fromkeys(self.output.names())

    def _fields(self, answer: Answer) -> Row:
        exchange, output = answer.exchange, self.output
        value: Any = exchange.text
        if self._response.format != "text":
            value = parse_json(exchange.text)
            if self._schema is not None:
                self._schema.check(value)
        found: Row = {} if output.field is None else {output.field: value}
        for field, path in output.fields.items():
            try:
                found[field] = at_path(value, path)
            except LookupError:
                if self._schema is None:
                    raise Unmet(f"it has nothing at {path!r}") from None
                found[field] = None  # the schema allows that it is not there
        if output.raw is not None:
            found[output.raw] = exchange.text
        if output.usage_field is not None:
            usage = exchange.usage or Usage()
            found[output.usage_field] = {
                "prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens,
                "total_tokens": usage.tokens,
            }  # fmt: skip
        if output.model is not None:
            found[output.model] = exchange.model
        return found

    def _error(self, what: str, reason: str, text: str) -> RowError:
        return RowError(f"{self._where}{what}", why=reason, answer=text[:_LONGEST_SHOWN])


def expected(chat: Chat) -> Usage:
    """The tokens that a question may take, as the limits and the budget reserve them."""
    asked = sum(len(message.content) // _CHARACTERS_PER_TOKEN + _TOKENS_PER_MESSAGE for message in chat.messages)
    bounds = [chat.parameters[key] for key in _BOUNDS if isinstance(chat.parameters.get(key), int)]
    return Usage(asked, max(bounds, default=EXPECTED_OUTPUT_TOKENS))
