"""Which values are credentials, and what is written down in their place: a reference and a keyed fingerprint.

A fingerprint is HMAC-SHA-256 (RFC 2104) of the value. Its key is `ELSPETH_FINGERPRINT_KEY`; where that is not set, the
key is derived from the value itself by PBKDF2-HMAC-SHA-256 (RFC 8018), so that each guess at a weak password is slow.
Either way the same value gives the same fingerprint, so that two runs can be compared.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elspeth.settings.environment import Expanded, Parts, VariableReference, template
from elspeth.settings.problems import KeyPath

FINGERPRINT_KEY = "ELSPETH_FINGERPRINT_KEY"
ALLOW_RAW = "ELSPETH_ALLOW_RAW_SECRETS"
REDACTED = "[redacted]"

_SHORTEST_IN_TEXT = 6  # shorter ones, such as `test`, stand in ordinary words too
_ROUNDS = 100_000
_SALT = b"elspeth.settings.fingerprint.1"

# What a name must end in, as whole words: `db_password` and `clientSecret`, not `max_tokens` or `password_field`.
_CREDENTIALS = frozenset({
    "password", "passwords", "sslpassword", "passwd", "passphrase",
    "pwd", "secret", "secrets", "token", "authorization", "bearer",
    "credential", "credentials", "cookie", "apikey", "apikeys", "accesstoken", "authtoken",
})  # fmt: skip
_KEYS = frozenset(
    {"api", "access", "account", "private", "secret", "signing", "encryption", "auth", "subscription", "shared"}
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Below these keys stand names of fields, which may well be called `password`.
_FIELD_NAMES = frozenset({"mapping", "fields", "columns", "schema", "conversions", "routes", "branches"})
_SECRET_SECTIONS = ("landscape", "telemetry", "rate_limit", "providers")

_URL_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}://[^\s/?#:@]*:(?P<secret>[^\s/?#]*)@")
_URL_QUERY = re.compile(r"[?&;](?P<name>[A-Za-z][\w\-]*)=(?P<secret>[^\s&#;]+)")


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential found in settings.

    `reference` is what is stored in its place: the text with `${VAR}` where a secret stood, or with `[redacted]` if it
    stood in the file itself. `values` maps each secret piece of the value to what stands for it in anything written.
    """

    path: KeyPath
    reference: str
    values: Mapping[str, str]
    literal: bool

    def __repr__(self) -> str:
        return f"Secret(path={self.path!r}, reference={self.reference!r}, literal={self.literal!r})"


def is_credential(name: str) -> bool:
    """Whether a field of this name is likely to hold a credential: `api_key`, `dbPassword`, `X-Auth-Token`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    if words[-1] in _CREDENTIALS:
        return True
    return words[-1] in ("key", "keys") and len(words) > 1 and words[-2] in _KEYS


def find(document: Mapping[str, Any]) -> list[Secret]:
    """The credentials in a document whose variables are filled in, in document order.

    Only places where plugins and services are configured are looked at.
    """
    found: list[Secret] = []
    for path, value in _places(document):
        for at, name, leaf in _leaves(path, "", value, named=False):
            secret = _named(at, leaf) if name or _is_header(at, leaf) else _inside(at, leaf)
            if secret is not None:
                found.append(secret)
    return found


def pieces(value: Expanded) -> dict[str, str]:
    """What variables gave to this text, each with its reference."""
    return {part.value: template((part,)) for part in value.parts if isinstance(part, VariableReference) and part.value}


def fingerprint(value: str, environ: Mapping[str, str]) -> str:
    """A keyed fingerprint of a secret: `hmac-sha256:` (or `hmac-sha256-derived:`, by its own key) and 64 hex digits."""
    data = value.encode("utf-8", "surrogatepass")
    key = environ.get(FINGERPRINT_KEY, "")
    if key:
        return "hmac-sha256:" + hmac.new(key.encode("utf-8", "surrogateescape"), data, hashlib.sha256).hexdigest()
    derived = hashlib.pbkdf2_hmac("sha256", data, _SALT, _ROUNDS)
    return "hmac-sha256-derived:" + hmac.new(derived, data, hashlib.sha256).hexdigest()


def conceal(value: Any, secrets: Mapping[str, str]) -> Any:
    """A copy of `value` in which each secret (a key of `secrets`) is replaced by its reference, wherever it stands."""
    if isinstance(value, str):
        if value in secrets:
            return secrets[value]
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_IN_TEXT:
                value = value.replace(secret, secrets[secret])
        return str(value)
    if isinstance(value, Mapping):
        return {key: conceal(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [conceal(item, secrets) for item in value]
    return secrets.get(str(value), value) if isinstance(value, int) and not isinstance(value, bool) else value


def _places(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    def options(path: KeyPath, step: Any) -> Iterator[tuple[KeyPath, Any]]:
        if isinstance(step, dict):
            yield (*path, "options"), step.get("options")

    yield from options(("source",), document.get("source"))
    for section in ("sources", "sinks"):
        steps = document.get(section)
        for name, step in steps.items() if isinstance(steps, dict) else ():
            yield from options((section, name), step)
    for section in ("transforms", "aggregations"):
        steps = document.get(section)
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            yield from options((section, index), step)
    for section in _SECRET_SECTIONS:
        yield (section,), document.get(section)


def _leaves(path: KeyPath, name: str, value: Any, *, named: bool) -> Iterator[tuple[KeyPath, bool, Any]]:
    """Every text or number with its path, and whether the name it stands under makes it a credential."""
    if isinstance(value, dict):
        if name in _FIELD_NAMES:
            return
        for key, item in value.items():
            # A sink's `headers` map fields to titles; only names that HTTP uses are credentials there.
            titles = name.lower() == "headers" and path[0] != "providers"
            http_only = titles and "-" not in key and key.lower() not in ("authorization", "cookie")
            yield from _leaves((*path, key), key, item, named=is_credential(key) and not http_only)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves((*path, index), name, item, named=named)
    elif isinstance(value, str) or (named and isinstance(value, (int, float)) and not isinstance(value, bool)):
        yield path, named, value


def _is_header(path: KeyPath, value: Any) -> bool:
    """Whether a header of a service gets its value from a variable: whatever it is called, that proves who asks."""
    return path[0] == "providers" and path[-2:-1] == ("headers",) and isinstance(value, Expanded)


def _named(path: KeyPath, value: Any) -> Secret | None:
    if not isinstance(value, Expanded):
        return Secret(path, REDACTED, {str(value): REDACTED}, literal=True) if str(value).strip() else None
    values = pieces(value)
    literal = any(isinstance(part, VariableReference) and part.default for part in value.parts)
    return Secret(path, value.template, values, literal)


def _inside(path: KeyPath, value: str) -> Secret | None:
    """A credential within a longer text: a URL's password, or a query parameter with a telling name."""
    spans = _url_secrets(value)
    if not spans:
        return None
    parts: Parts = value.parts if isinstance(value, Expanded) else (value,)
    kept: list[str | VariableReference] = []
    values: dict[str, str] = {}
    covered: set[tuple[int, int]] = set()
    literal = False
    at = 0
    for part in parts:
        text = part if isinstance(part, str) else part.value
        touching = [span for span in spans if span[0] < at + len(text) and at < span[1]]
        if touching and isinstance(part, VariableReference):
            kept.append(part)
            values[text] = template((part,))
            values.update((value[start:end], template((part,))) for start, end in touching)
            literal = literal or bool(part.default)
            covered.update(touching)
        else:
            kept.append(text)  # a host or a user from a variable is no secret: stored as it is
        at += len(text)
    if covered != set(spans):
        values = {value[start:end]: REDACTED for start, end in spans}
        return Secret(path, _redacted(value, spans), values, literal=True)
    return Secret(path, template(tuple(kept)), values, literal)


def without_url_passwords(text: str) -> str:
    """The text, with the passwords and credential parameters of URLs in it made unreadable."""
    return _redacted(text, _url_secrets(text))


def _url_secrets(text: str) -> list[tuple[int, int]]:
    if "://" not in text:
        return []
    spans = {match.span("secret") for match in _URL_PASSWORD.finditer(text)}
    spans |= {match.span("secret") for match in _URL_QUERY.finditer(text) if is_credential(match["name"])}
    return sorted(span for span in spans if span[0] < span[1])


def _redacted(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in reversed(spans):
        text = text[:start] + REDACTED + text[end:]
    return str(text)
