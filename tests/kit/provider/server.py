"""The fake provider: HTTP on 127.0.0.1 by asyncio, so that hundreds of calls at once cost little."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.provider.faults import BROKEN, CHANGED, REFUSALS, Reply, changed, refusal


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; `question` is what stands under the role `user`, the last of them."""

    time: float
    method: str
    target: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes

    @property
    def question(self) -> str:
        messages = self.body.get("messages", []) if isinstance(self.body, dict) else []
        found = [message["content"] for message in messages if message["role"] == "user"]
        return str(found[-1]) if found else self.raw.decode() or self.target


def by_hash(asked: Asked) -> str:
    """An answer that depends on the question alone."""
    return f"answer {hashlib.sha256(asked.question.encode()).hexdigest()[:8]}"


class FakeProvider:
    """A service with an account. To be used as a context; `url` is its `base_url` for kind `openai`.

    `faults` are what happens to the next requests, in order, or to those with a question, by question; then all go
    well. `answer` is what is said, `seconds` how long it takes. With `honours_keys` a second request with the same
    idempotency key gets the first one's answer, unpaid. `per_minute`: more requests in a minute get 429.
    `paid` and `seen` are the questions that were carried out, and all that arrived, in order; `log` a file that holds
    what was paid, a line each, for who asks from another process.
    """

    def __init__(
        self,
        *,
        faults: list[str] | dict[str, list[str]] | None = None,
        answer: Callable[[Asked], str | dict[str, Any]] = by_hash,
        seconds: float | Callable[[Asked], float] = 0.0,
        honours_keys: bool = False,
        per_minute: int | None = None,
        key: str | None = None,
        log: Path | None = None,
        port: int = 0,
        tls: Any = None,
    ) -> None:
        self.faults: dict[str, deque[str]] = {}
        if isinstance(faults, dict):
            self.faults = {question: deque(names) for question, names in faults.items()}
        self.next_faults = deque(faults if isinstance(faults, list) else ())
        self.answer, self.seconds, self.honours_keys, self.key = answer, seconds, honours_keys, key
        self.per_minute, self.log = per_minute, log
        self.paid: list[str] = []
        self.seen: list[Asked] = []
        self.most_at_once = self._at_once = 0
        self.released = threading.Event()
        self._answered: dict[str, bytes] = {}
        self._recent: deque[float] = deque()
        self._port, self._tls = port, tls
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FakeProvider:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def paid_twice(self) -> list[str]:
        """The questions that were carried out more than once."""
        return sorted(question for question, times in Counter(self.paid).items() if times > 1)

    def most_in_a_minute(self) -> int:
        """The most requests that arrived within any sixty seconds."""
        times = [asked.time for asked in self.seen]
        return max(
            (sum(begin <= time < begin + 60 for time in times[at:]) for at, begin in enumerate(times)), default=0
        )

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, backlog=2048, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader)) is not None:
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                try:
                    goes_on = await self._handle(asked, writer)
                finally:
                    self._at_once -= 1
                if not goes_on:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _handle(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        self.seen.append(asked)
        fault = self._fault(asked)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "reset":
            return _reset(writer)
        if fault in REFUSALS:
            return await _send(writer, self._spelt(REFUSALS[fault](), asked))
        if (refused := self._refused(asked)) is not None:
            return await _send(writer, refused)
        known = asked.headers.get("idempotency-key") if self.honours_keys else None
        if known in self._answered:
            return await _send(writer, Reply(body=self._answered[str(known)]))
        seconds = self.seconds(asked) if callable(self.seconds) else self.seconds
        self._pay(asked)
        answer = self._answer(asked)
        reply = changed(str(fault), answer) if fault in CHANGED else Reply(body=json.dumps(answer).encode())
        if known:
            self._answered[known] = reply.body
        if seconds:
            await asyncio.sleep(seconds)
        if fault == "drop":
            return _reset(writer)
        if fault == "cut body":
            reply = Reply(reply.status, reply.body, reply.headers, cut=len(reply.body) // 2)
        if fault == "trickle":
            reply = Reply(reply.status, reply.body, reply.headers, every=0.05)
        assert fault is None or fault in BROKEN or fault in CHANGED, fault
        return await _send(writer, reply)

    def _fault(self, asked: Asked) -> str | None:
        waiting = self.faults.get(asked.question) or self.next_faults
        return waiting.popleft() if waiting else None

    def _refused(self, asked: Asked) -> Reply | None:
        """By the account's own rules: its key, and how many requests a minute it takes."""
        given = (
            asked.headers.get("authorization", "").removeprefix("Bearer ")
            or asked.headers.get("api-key")
            or (asked.headers.get("x-api-key"))
        )
        if self.key is not None and given != self.key:
            return self._spelt(REFUSALS["401"](), asked)
        if self.per_minute is not None:
            while self._recent and self._recent[0] <= asked.time - 60:
                self._recent.popleft()
            if len(self._recent) >= self.per_minute:
                return refusal(429, retry_after=str(int(self._recent[0] + 61 - asked.time)))
            self._recent.append(asked.time)
        return None

    def _spelt(self, reply: Reply, asked: Asked) -> Reply:
        """Services repeat the key that they refuse."""
        key = asked.headers.get("authorization", "").removeprefix("Bearer ") or asked.headers.get("api-key", "")
        return Reply(reply.status, reply.body.replace(b"KEY", key.encode()), reply.headers, paid=reply.paid)

    def _pay(self, asked: Asked) -> None:
        self.paid.append(asked.question)
        if self.log is not None:
            line = {"question": asked.question, "key": asked.headers.get("idempotency-key"), "time": asked.time}
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _answer(self, asked: Asked) -> dict[str, Any]:
        said = self.answer(asked)
        if isinstance(said, dict):
            return said  # of a service that is no model
        taken, given = len(asked.question) // 4 + 1, len(said) // 4 + 1
        model = asked.body.get("model") or "m" if isinstance(asked.body, dict) else "m"
        if asked.target.endswith("/messages"):
            usage = {"input_tokens": taken, "output_tokens": given}
            content = [{"type": "text", "text": said}]
            return {"type": "message", "model": model, "content": content, "stop_reason": "end_turn", "usage": usage}
        usage = {"prompt_tokens": taken, "completion_tokens": given, "total_tokens": taken + given}
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return {"id": "a", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = None
    return Asked(time.time(), method, target, headers, body, raw)


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    headers = {"content-type": "application/json", **reply.headers, "content-length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} By order", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    if reply.every:
        for place in range(len(reply.body)):
            writer.write(reply.body[place : place + 1])
            await writer.drain()
            await asyncio.sleep(reply.every)
    else:
        writer.write(reply.body[: reply.cut])
    await writer.drain()
    return reply.cut is None


def _reset(writer: asyncio.StreamWriter) -> bool:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
