"""Asks a service about each row by HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field, model_validator

from elspeth.calls.model import Exchange, Terms
from elspeth.calls.model import Http as HttpRequest
from elspeth.plugins.contract import Context, Determinism, PluginOptions, Row, RowError, Transform
from elspeth.plugins.options import KeyPath, dotted
from elspeth.plugins.services import extras
from elspeth.plugins.services.answers import at_path
from elspeth.plugins.services.options import Name, Part, PriceOptions

if TYPE_CHECKING:
    from elspeth.plugins.services.template import Template

Status = Annotated[int, Field(ge=100, le=599)]
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_FIELD = re.compile(r"\{\{\s*row(?:\.(\w+)|\[(?:'([^']*)'|\"([^\"]*)\")\])\s*\}\}")
_ROOTS = ("body", "status", "headers", "text")
_OWN_HEADERS = ("host", "content-length", "transfer-encoding", "connection")


class HttpOutput(Part):
    """Where an answer goes in the row."""

    fields: dict[Name, Name] = Field(
        default_factory=dict, description="Field of the row to the value's place: `body.NAME...` in an answer that is "
        "JSON, `status`, `headers.NAME` or `text`."
    )  # fmt: skip
    raw: Name | None = Field(default=None, description="The field for the body as text.")

    def names(self) -> tuple[str, ...]:
        """All fields that an answer becomes."""
        return (*self.fields, *(() if self.raw is None else (self.raw,)))


class HttpOptions(PluginOptions):
    """Whom to ask, what, and what becomes of the answer. All texts are templates: `{{ row.FIELD }}`."""

    provider: Name = Field(description="A name in the settings' `providers`, of kind http.")
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field(default="GET", description="The method.")
    path: str = Field(
        default="", description="What follows the provider's base_url; values of a row are escaped in it."
    )
    query: dict[Name, str] = Field(default_factory=dict, description="What follows the `?`.")
    headers: dict[Name, str] = Field(
        default_factory=dict, description="Headers; credentials stand in the provider's own."
    )
    json_: Any = Field(
        default=None, alias="json", description="The body, as JSON; a text that is one field of the row alone becomes "
        "its value, with its type."
    )  # fmt: skip
    form: dict[Name, str] | None = Field(default=None, description="The body, as a form.")
    success: tuple[Status, ...] = Field(
        default=(200, 201, 202, 203, 204), min_length=1, description="The statuses that are answers."
    )
    retry_statuses: tuple[Status, ...] = Field(
        default=(408, 425, 429, 500, 502, 503, 504), description="The statuses after which it is asked again."
    )
    output: HttpOutput = Field(default_factory=HttpOutput, description="Where the answer goes.")
    max_body_bytes: int = Field(default=1024 * 1024, ge=1, le=2**30, description="A larger answer is none.")
    on_unknown: Literal["retry", "fail"] | None = Field(
        default=None, description="Whether it is asked again where nobody knows if it was carried out; if nothing is "
        "said, a POST or PATCH is not, unless the provider has an idempotency header."
    )  # fmt: skip
    price: PriceOptions = Field(default_factory=PriceOptions, description="What the service takes.")
    record: Literal["full", "hash", "redact"] = Field(
        default="full", description="What of requests and answers is on record: all, hashes, or the form of it."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> HttpOptions:
        if self.json_ is not None and self.form is not None:
            raise ValueError("`json` and `form` are two bodies; a request has one")
        if self.method in ("GET", "HEAD") and (self.json_ is not None or self.form is not None):
            raise ValueError(f"a {self.method} has no body")
        both = sorted(set(self.success) & set(self.retry_statuses))
        if both:
            raise ValueError(f"{both[0]} stands in `success` and in `retry_statuses`")
        for name in self.headers:
            if not _TOKEN.fullmatch(name) or name.lower() in _OWN_HEADERS:
                raise ValueError(f"headers: {name!r} cannot be set")
        for field, path in self.output.fields.items():
            if path.split(".")[0] not in _ROOTS or path in ("headers",):
                raise ValueError(f"output.fields: {field!r} comes from {path!r}, which begins with none of "
                                 f"{', '.join(_ROOTS)}")  # fmt: skip
        return self


class Http(Transform):
    """Asks a service about each row by HTTP, on record, and takes values of its answer into the row.

    `provider` names an account of kind http in the settings' `providers`, with its address and credentials.
    """

    name: ClassVar[str] = "http"
    determinism: ClassVar[Determinism] = "nondeterministic"
    Options = HttpOptions
    options: HttpOptions

    def __init__(self, options: HttpOptions) -> None:
        super().__init__(options)
        extras.require(self.name)
        self._templates: dict[str, Template] = {}
        self._fields: set[str] = set()
        self._path = self._text(options.path, ("path",), escape=True)
        self._query = {name: self._text(text, ("query", name)) for name, text in options.query.items()}
        self._headers = {name: self._text(text, ("headers", name)) for name, text in options.headers.items()}
        self._json = self._compiled(options.json_, ("json",))
        form = options.form
        self._form = None if form is None else {name: self._text(text, ("form", name)) for name, text in form.items()}

    def providers(self) -> dict[str, tuple[str, ...]]:
        """The account that is asked."""
        return {self.options.provider: ("http",)}

    def request(self, row: Row) -> HttpRequest:
        """What is asked about this row. Raises `RowError` where it cannot be put."""
        path = self._path.render(row, {})
        if any(part in (".", "..") for part in path.split("/")):
            raise RowError(f"the path {path!r:.200} leads elsewhere", path=path[:200])
        options = self.options
        return HttpRequest(
            method=options.method,
            path=path,
            query={name: text.render(row, {}) for name, text in self._query.items()},
            headers={name: _sendable(name, text.render(row, {})) for name, text in self._headers.items()},
            json=_filled(self._json, row),
            form=None if self._form is None else {name: text.render(row, {}) for name, text in self._form.items()},
            success=options.success,
            retry_statuses=options.retry_statuses,
            max_body_bytes=options.max_body_bytes,
        )

    def process(self, row: Row, ctx: Context) -> Row:
        """The row with values of the answer. Raises `RowError` where there is none, or it has other values."""
        options = self.options
        terms = Terms(on_unknown=options.on_unknown, record=options.record, price=options.price.price())
        answer = ctx.call(options.provider, self.request(row), terms=terms)
        return {**row, **self._values(answer.exchange)}

    def fields_in(self) -> frozenset[str]:
        """The fields that every request needs."""
        return frozenset(self._fields)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields before, and those of the answer."""
        return fields | set(self.options.output.names())

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """Values of the answer stand behind what there was."""
        return tuple(dict.fromkeys((*order, *self.options.output.names())))

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before, of fields that no answer takes the place of."""
        return {
            name: kind for name, kind in super().types_out(types).items() if name not in self.options.output.names()
        }

    def check_references(self) -> None:
        """Raise `SettingsError` where a text cannot be rendered within bounds."""
        for template in self._templates.values():
            template.check(self.fields_in(), {})

    def _values(self, exchange: Exchange) -> Row:
        output = self.options.output
        found: Row = {}
        parts: dict[str, Any] = {"status": exchange.status, "headers": exchange.headers, "text": exchange.body}
        if any(path.split(".")[0] == "body" for path in output.fields.values()):
            try:
                parts["body"] = json.loads(exchange.body, parse_constant=_refused)
            except (ValueError, RecursionError):
                raise RowError("the answer is no JSON", why="invalid_json", answer=exchange.body[:2000]) from None
        for field, path in output.fields.items():
            try:
                found[field] = at_path(parts, path.lower() if path.startswith("headers.") else path)
            except LookupError:
                raise RowError(
                    f"the answer has nothing at {path!r}", why="missing", answer=exchange.body[:2000]
                ) from None
        if output.raw is not None:
            found[output.raw] = exchange.body
        return found

    def _text(self, text: str, option: KeyPath, *, escape: bool = False) -> Template:
        from elspeth.plugins.services.template import Template  # Jinja2 is an extra

        where = dotted(option)
        template = Template(text, where, option=option, finalize=_escaped if escape else None)
        self._templates[where] = template
        self._fields |= template.fields
        return template

    def _compiled(self, value: Any, option: KeyPath) -> Any:
        """The body with templates, or names of fields, in place of its texts."""
        if isinstance(value, Mapping):
            return {key: self._compiled(item, (*option, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._compiled(item, (*option, place)) for place, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        if (alone := _FIELD.fullmatch(value.strip())) is not None:
            name = next(part for part in alone.groups() if part is not None)
            self._fields.add(name)
            return _Field(name)
        return self._text(value, option)


class _Field:
    """One field of the row, as the value that it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, row: Row, more: Row) -> Any:
        """The value. Raises `RowError` if the row has no such field."""
        if self.name not in row:
            raise RowError(f"the row has no field {self.name!r}", field=self.name, fields=list(row)[:50])
        return row[self.name]


def _filled(value: Any, row: Row) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, row) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, row) for item in value]
    return value.render(row, {}) if hasattr(value, "render") else value


def _escaped(value: Any) -> str:
    return "" if value is None else quote(str(value), safe="")


def _sendable(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise RowError(f"the header {name} would hold characters that cannot be sent", header=name)
    return value


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
