"""Keeps credentials out of texts that leave the run: errors, evidence of deaths, logs, what children print.

A credential is known by its value. Whoever prints it seldom prints it as it was given: it stands in a URL, in JSON, in
a `repr`, in a header of HTTP's basic authentication. All of these forms are found.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from elspeth.errors import ElspethError

T = TypeVar("T", bound=ElspethError)

WORD_LENGTH = 4
"""A shorter credential cannot be told from ordinary text, and is not looked for."""

ANYWHERE_LENGTH = 6
"""From this length on a credential is found inside of a word; a shorter one only where it stands alone."""

_BASE64_LENGTH = 8  # a shorter run of base64 says little, and stands in other texts too


_URL_PASSWORD = re.compile(r"(?<=://)(?P<user>[^\s/?#:@]*):[^\s?#]*@")
_URL_PARAMETER = re.compile(r"(?P<before>[?&](?:ssl)?password=)[^\s&#]+")


def without_url_passwords(text: str) -> str:
    """The text with passwords taken out of the URLs in it, whatever they are: what somebody typed, for the record.

    A password that holds a `/` although it should not, is taken out as well.
    """
    return _URL_PARAMETER.sub(r"\g<before>[redacted]", _URL_PASSWORD.sub(r"\g<user>@", text))


class Concealment:
    """Replaces each secret (a key of `secrets`) by what stands for it, in any of the forms in which it may appear.

    Longer secrets are looked for first, so that one which begins another does not leave the other's end behind.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.secrets = dict(secrets)
        forms: dict[str, str] = {}
        for secret, reference in self.secrets.items():
            if len(secret) >= WORD_LENGTH:
                for form in _forms(secret):
                    forms.setdefault(form, reference)
        self._forms = forms
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern_of, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """The text without the secrets in it."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._forms[found.group()], text)

    def value(self, value: Any) -> Any:
        """A copy of plain data, such as a detail for the record, without the secrets in its texts and keys."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in self.secrets:
            return self.secrets[str(value)]
        return value

    def error(self, error: T) -> T:
        """The same error, with no secret in what it says."""
        if self._pattern is not None:
            error.message = self.text(error.message)
            error.details = tuple(self.text(detail) for detail in error.details)
            error.next_step = self.text(error.next_step)
            error.args = (error.message,)
        return error


NOTHING = Concealment({})
"""For a run without credentials, and for whoever has not been told of any."""


def _forms(secret: str) -> set[str]:
    escaped = json.dumps(secret)[1:-1]
    shown = {repr(secret)[1:-1], ascii(secret)[1:-1]}
    forms = {secret, escaped, json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="")}
    forms |= {quote(secret), quote_plus(secret)}
    data = secret.encode("utf-8", "surrogatepass")
    return {form for form in (*forms, *shown, *_base64_forms(data)) if form}


def _base64_forms(data: bytes) -> set[str]:
    """How the bytes look inside of base64, wherever they begin in it: `user:password` is encoded as one."""
    forms = set()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + data).decode("ascii").rstrip("=")
        begin = (0, 2, 3)[before]
        end = len(whole) - bool((before + len(data)) % 3)
        form = whole[begin:end]
        if len(form) >= _BASE64_LENGTH:
            forms |= {form, form.replace("+", "-").replace("/", "_")}
    return forms


def _pattern_of(form: str) -> str:
    return re.escape(form) if len(form) >= ANYWHERE_LENGTH else rf"(?<!\w){re.escape(form)}(?!\w)"
