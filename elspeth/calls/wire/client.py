"""A provider over the network: encodes a request in the words of its kind, sends it once, judges what came back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import ModuleType
from urllib.parse import quote, urlencode

import msgspec

from elspeth import canonical, clock
from elspeth.calls.config import ProviderConfig
from elspeth.calls.model import Chat, Exchange, Http, Request
from elspeth.calls.wire import anthropic, judge, openai
from elspeth.calls.wire.transport import Connection, NoResponse, Transport
from elspeth.concealment import NOTHING, Concealment

LARGEST_CHAT_BYTES = 16 * 1024 * 1024
"""A model's answer that is larger is none."""

_WORDS: dict[str, ModuleType] = {"openai": openai, "azure": openai, "anthropic": anthropic}


class Client:
    """One account, for all threads of a process. What it answers holds none of the secrets that it is told of."""

    def __init__(self, config: ProviderConfig, concealment: Concealment = NOTHING) -> None:
        self.name = config.name
        self.idempotency_header = config.idempotency_header
        self._config = config
        secrets = {secret: "[concealed]" for secret in (config.api_key, *config.headers.values()) if secret}
        self._concealment = Concealment({**secrets, **concealment.secrets})
        self._transport = Transport(
            Connection(
                connect_timeout_seconds=config.connect_timeout_seconds,
                verify=config.verify,
                trust_env=config.trust_env,
                allow_hosts=config.hosts,
                allow_private=config.kind != "http" or config.allow_private,
            )
        )

    def send(self, request: Request, deadline: float, idempotency_key: str) -> Exchange:
        """One try: see `Provider`."""
        deadline = min(deadline, time.monotonic() + self._config.timeout_seconds)
        sent = clock.utc_now()
        if isinstance(request.content, Chat):
            exchange = self._chat(request.content, deadline, idempotency_key)
        else:
            exchange = self._http(request.content, deadline, idempotency_key)
        return msgspec.structs.replace(
            exchange,
            message=self._concealment.text(exchange.message),
            body=self._concealment.text(exchange.body),
            text=self._concealment.text(exchange.text),
            headers=self._concealment.value(exchange.headers),
            sent=sent,
            ended=clock.utc_now(),
        )

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    def _chat(self, chat: Chat, deadline: float, key: str) -> Exchange:
        config = self._config
        words = _WORDS[config.kind]
        headers = {**self._headers(key), "content-type": "application/json", **words.headers(config)}
        try:
            response = self._transport.exchange(
                "POST", words.address(config, chat), headers, _json(words.body(chat)), deadline,
                LARGEST_CHAT_BYTES,
            )  # fmt: skip
        except NoResponse as failure:
            return judge.no_response(failure)
        return judge.chat(response, words.said, datetime.now(UTC))

    def _http(self, http: Http, deadline: float, key: str) -> Exchange:
        headers = {**self._headers(key), **{name.lower(): value for name, value in http.headers.items()}}
        body: bytes | None = None
        if http.json is not None:
            body = _json(http.json)
            headers.setdefault("content-type", "application/json")
        elif http.form is not None:
            body = urlencode(http.form).encode()
            headers.setdefault("content-type", "application/x-www-form-urlencoded")
        try:
            response = self._transport.exchange(
                http.method, self._url(http), headers, body, deadline, http.max_body_bytes
            )
        except NoResponse as failure:
            return judge.no_response(failure)
        return judge.http(response, http, datetime.now(UTC))

    def _url(self, http: Http) -> str:
        # What a path holds that no path may hold is escaped; a template escapes what rows put into it before.
        path = quote(http.path.lstrip("/"), safe="/%:@!$&'()*+,;=-._~")
        url = f"{self._config.base_url.rstrip('/')}/{path}" if path else self._config.base_url
        return f"{url}?{urlencode(http.query)}" if http.query else url

    def _headers(self, key: str) -> dict[str, str]:
        found = {"accept": "application/json", "user-agent": "elspeth"}
        found |= {name.lower(): value for name, value in self._config.headers.items()}
        if self.idempotency_header and key:
            found[self.idempotency_header.lower()] = key
        return found


def _json(value: object) -> bytes:
    # The order of keys is kept: models write the fields of an answer in that of the schema.
    return canonical.to_text(value).encode()
