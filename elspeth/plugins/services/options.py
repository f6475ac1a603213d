"""Options that steps share which ask language models."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elspeth.calls.model import Price
from elspeth.plugins.contract import PluginOptions
from elspeth.plugins.options import KeyPath

Name = Annotated[str, Field(min_length=1)]
Money = Annotated[float, Field(ge=0, le=10**9)]


class Part(BaseModel):
    """A part of a step's options."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


class ResponseOptions(Part):
    """The form that an answer is to have."""

    format: Literal["text", "json", "json_schema"] = Field(default="text", description="What the model is asked for.")
    schema_: dict[str, Any] | None = Field(
        default=None, alias="schema", description="Format json_schema: what the answer must meet."
    )
    on_invalid: Literal["error", "ask_again"] = Field(
        default="error", description="What follows an answer of another form: the row's error, or the reason is told "
        "to the model, which is asked again."
    )  # fmt: skip
    ask_again: int = Field(default=1, ge=1, le=10, description="How often it is asked again.")

    @model_validator(mode="after")
    def _has_its_schema(self) -> ResponseOptions:
        if (self.format == "json_schema") != (self.schema_ is not None):
            raise ValueError("`schema` belongs to format json_schema, which needs one")
        return self


class OutputOptions(Part):
    """Where an answer goes in the row."""

    field: Name | None = Field(
        default=None, description="The field that the whole answer becomes; of a text `answer`, if nothing is said."
    )
    fields: dict[Name, Name] = Field(
        default_factory=dict, description="Field of the row to the value's place in an answer that is JSON: a name, or "
        "several with dots."
    )  # fmt: skip
    raw: Name | None = Field(default=None, description="The field for the answer as the model wrote it.")
    usage: Name | bool = Field(
        default=False, description="The field for the tokens that were counted; true is `usage`."
    )
    model: Name | None = Field(default=None, description="The field for the name of the model that answered.")

    @property
    def usage_field(self) -> str | None:
        """The field for tokens, if there is to be one."""
        if isinstance(self.usage, bool):
            return "usage" if self.usage else None
        return self.usage

    def names(self) -> tuple[str, ...]:
        """All fields that an answer becomes."""
        return tuple(
            name for name in (self.field, *self.fields, self.raw, self.usage_field, self.model) if name is not None
        )


class QueryOptions(Part):
    """One question to a model."""

    prompt_template: Name | None = Field(
        default=None, description="The question, a Jinja2 template: `{{ row.FIELD }}`, `{{ lookup.TABLE[row.FIELD] }}`."
    )
    prompt_file: Path | None = Field(default=None, description="A file that holds it; its content is on record.")
    inputs: dict[Name, Name] = Field(
        default_factory=dict, description="Further names in the template: each to the field of the row that it is."
    )
    response: ResponseOptions | None = Field(default=None, description="The form that the answer is to have.")
    output: OutputOptions | None = Field(default=None, description="Where the answer goes.")
    optional: bool = Field(
        default=False, description="Whether a row goes on without this answer; its fields are null then."
    )


class PriceOptions(Part):
    """What the service takes, in the currency of `budget`."""

    input_per_million: Money = Field(default=0.0, description="For a million tokens that are asked.")
    output_per_million: Money = Field(default=0.0, description="For a million tokens that are answered.")
    per_call: Money = Field(default=0.0, description="For each call.")

    def price(self) -> Price:
        """The numbers as they are written."""
        return Price(*(Decimal(str(each)) for each in (self.input_per_million, self.output_per_million, self.per_call)))


class LlmOptions(PluginOptions):
    """Whom to ask, what, and what becomes of the answer."""

    provider: Name = Field(description="A name in the settings' `providers`.")
    model: Name | None = Field(default=None, description="The model; an azure provider with a `deployment` needs none.")
    prompt_template: Name | None = Field(
        default=None, description="The question, a Jinja2 template: `{{ row.FIELD }}`, `{{ lookup.TABLE[row.FIELD] }}`."
    )
    prompt_file: Path | None = Field(default=None, description="A file that holds it; its content is on record.")
    system: str | None = Field(default=None, description="What the model is told first: plain text, nothing of a row.")
    system_file: Path | None = Field(default=None, description="A file that holds it.")
    lookups: Path | dict[Name, Path | dict[str, Any] | list[Any]] | None = Field(
        default=None, description="Tables for the template, by name: YAML or JSON files, or values. One file alone "
        "holds all of them."
    )  # fmt: skip
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Sent as they are: temperature, max_tokens and others that the service knows."
    )
    response: ResponseOptions = Field(
        default_factory=ResponseOptions, description="The form that the answer is to have."
    )
    output: OutputOptions = Field(default_factory=OutputOptions, description="Where the answer goes.")
    multi_query: dict[Name, QueryOptions] = Field(
        default_factory=dict, description="Several questions about a row, by name; they are asked in this order."
    )
    on_content_filter: Literal["error", "empty"] = Field(
        default="error", description="What a content filter's refusal is: the row's error, or null."
    )
    on_length: Literal["error", "keep"] = Field(
        default="error", description="What an answer is that was cut at max_tokens: the row's error, or what there is."
    )
    on_unknown: Literal["retry", "fail"] = Field(
        default="retry", description="Whether a question is asked again of which nobody knows if it was answered."
    )
    price: PriceOptions = Field(default_factory=PriceOptions, description="What the service takes.")
    record: Literal["full", "hash", "redact"] = Field(
        default="full", description="What of questions and answers is on record: all, hashes, or the form of it."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> LlmOptions:
        if self.system is not None and self.system_file is not None:
            raise ValueError("`system` and `system_file` are two ways to say the same; give one")
        for key in ("model", "messages", "stream", "response_format", "n"):
            if key in self.parameters:
                raise ValueError(f"parameters: {key!r} is no parameter here; options of their own say it, or nothing")
        for name, query in self.queries().items():
            where = f"multi_query.{name}: " if name else ""
            if (query.prompt_template is None) == (query.prompt_file is None):
                raise ValueError(f"{where}one of `prompt_template` and `prompt_file` must be given")
            assert query.response is not None
            assert query.output is not None
            if query.output.fields and query.response.format == "text":
                raise ValueError(f"{where}output.fields are for answers that are JSON; set response.format")
            if query.response.format != "text" and not query.output.names():
                raise ValueError(f"{where}output must say where the answer goes: fields, field or raw")
        names = [name for query in self.queries().values() for name in query.output.names()]  # type: ignore[union-attr]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"output: two values become {twice!r}; a field has one origin")
        return self

    def queries(self) -> dict[str, QueryOptions]:
        """The questions by name, complete: what one does not say is said by the step. A single one has no name."""
        given = self.multi_query or {"": QueryOptions()}
        return {name: self._complete(name, query) for name, query in given.items()}

    def prompt_option(self, name: str) -> KeyPath:
        """Where the prompt of this question stands, below the options: with the question, or with the step."""
        own = self.multi_query.get(name)
        if own is not None and (own.prompt_template is not None or own.prompt_file is not None):
            return ("multi_query", name, _prompt_key(own))
        return (_prompt_key(self),)

    def schema_option(self, name: str) -> KeyPath:
        """The same for the schema of its answer."""
        own = self.multi_query.get(name)
        at: KeyPath = ("multi_query", name) if own is not None and own.response is not None else ()
        return (*at, "response", "schema")

    def _complete(self, name: str, query: QueryOptions) -> QueryOptions:
        own = query.prompt_template is not None or query.prompt_file is not None
        response = query.response or self.response
        output = query.output or (OutputOptions() if name else self.output)
        if not output.names() or (output.field is None and not output.fields and response.format == "text"):
            if response.format == "text":
                output = output.model_copy(update={"field": name or "answer"})
            elif response.schema_ is not None and not output.names():
                found = response.schema_.get("properties")
                keys = found if isinstance(found, dict) else {}
                output = output.model_copy(update={"fields": {f"{name}_{key}" if name else key: key for key in keys}})
        prompt = {} if own else {"prompt_template": self.prompt_template, "prompt_file": self.prompt_file}
        return query.model_copy(update={"response": response, "output": output, **prompt})


def _prompt_key(given: LlmOptions | QueryOptions) -> str:
    return "prompt_file" if given.prompt_file is not None else "prompt_template"
