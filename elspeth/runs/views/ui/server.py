"""The server behind `elspeth ui`: reads heads of requests with patience that has an end, and sends what is asked for.

All of it is one thread with an event loop; what asks the database runs in two threads beside it. There are no files
to be served, and nothing that a request could change.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from elspeth.audit.store.place import Place
from elspeth.runs.views.report.page import live_page
from elspeth.runs.views.ui import answers
from elspeth.runs.views.ui.access import Access
from elspeth.runs.views.ui.feed import LEAST_SECONDS, Feed
from elspeth.runs.views.ui.looks import Looker
from elspeth.runs.views.ui.questions import Questions, Tell
from elspeth.runs.views.ui.requests import END, MOST_HEAD_BYTES, Refused, Request, parsed

_REFERENCE = re.compile(r"[a-z0-9]{1,20}")
QUIET = b": nothing new\n\n"
LAST_READS = 64
"""So many times something may still come behind a request, before its connection is cut."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes. A reader that takes nothing for `reading_seconds` is left; `quiet_seconds` part signs of
    life where nothing changes, and `least_seconds` two looks."""

    connections: int = 200
    viewers: int = 100
    head_seconds: float = 10.0
    reading_seconds: float = 30.0
    quiet_seconds: float = 15.0
    waiting_bytes: int = 65_536
    least_seconds: float = LEAST_SECONDS


class Server:
    """Shows one audit database to whoever `access` admits; `tell` puts stories into words."""

    def __init__(self, database: Place, access: Access, tell: Tell, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._access = access
        self._looking = ThreadPoolExecutor(1, "look")
        self._asking = ThreadPoolExecutor(1, "ask")
        self._questions = Questions(database, tell, self._asking)
        self._looker = Looker(database)
        self._page, self._policy = live_page()
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket, stopped: asyncio.Event) -> None:
        """Answer until it is `stopped`; then every connection is closed, and nothing is left running."""
        look = self._looker.look
        self._feed = Feed(
            lambda topic, known, patient: look(topic, known, patient=patient), self._looking,
            self._limits.least_seconds,
        )  # fmt: skip
        server = await asyncio.start_server(self._connected, sock=listener, limit=MOST_HEAD_BYTES)
        looking = asyncio.create_task(self._feed.keep_looking())
        waiting = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({looking, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                looking.result()  # raises: it ends for no other reason
        finally:
            self._questions.close()
            self._looker.close()
            server.close()
            tasks = [looking, waiting, *self._connections]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._looking.shutdown()
            self._asking.shutdown()

    # -- one connection -------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= self._limits.connections:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            writer.transport.set_write_buffer_limits(self._limits.waiting_bytes)
            await self._served(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # it has gone, reads too slowly, or the server ends
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = parsed(await self._head(reader))
            by_address = self._access.admit(request)
            if request.path == "/events":
                await self._stream(request, reader, writer)
                return
            found = self._entrance() if by_address and request.path == "/" else await self._answer(request)
        except Refused as refused:
            found = answers.refusal(refused.status, refused.sentence)
        writer.write(found)
        await self._sent(writer)
        writer.write_eof()
        # What is closed with bytes unread is reset, and the answer with it.
        async with asyncio.timeout(self._limits.head_seconds):
            for _ in range(LAST_READS):
                if not await reader.read(MOST_HEAD_BYTES):
                    break

    async def _answer(self, request: Request) -> bytes:
        match request.path:
            case "/":
                return answers.whole(HTTPStatus.OK, answers.HTML, self._page, Content_Security_Policy=self._policy)
            case "/story":
                body = await self._questions.answer(_run_of(request), request.query.get("of", ""))
                return answers.whole(HTTPStatus.OK, answers.JSON, body)
            case "/favicon.ico":  # browsers ask for it unasked
                return answers.whole(HTTPStatus.NO_CONTENT, answers.TEXT, b"")
            case _:
                raise Refused(HTTPStatus.NOT_FOUND, "There is no such page here.")

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                return await reader.readuntil(END)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError from error
        except asyncio.LimitOverrunError as error:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long.") from error
        except TimeoutError as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The request did not come in time.") from error

    async def _sent(self, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(self._limits.reading_seconds):
            await writer.drain()

    def _entrance(self) -> bytes:
        """The token goes into a cookie, and out of the address, which is kept in histories."""
        cookie = f"{self._access.cookie}={self._access.token}; HttpOnly; SameSite=Strict; Path=/"
        return answers.whole(HTTPStatus.SEE_OTHER, answers.TEXT, b"", Location="/", Set_Cookie=cookie)

    async def _stream(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send whatever changes, until who watches has gone."""
        reference = _run_of(request)
        if self._feed.viewers >= self._limits.viewers:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "Too many watch already.")
        gone = asyncio.create_task(reader.read(1))
        try:
            with self._feed.viewer(reference) as viewer:
                writer.write(answers.head(HTTPStatus.OK, answers.EVENTS, {}))
                while not gone.done():
                    news = asyncio.create_task(viewer.next())
                    try:
                        await asyncio.wait(
                            {gone, news}, timeout=self._limits.quiet_seconds, return_when=asyncio.FIRST_COMPLETED
                        )
                    finally:
                        messages = news.result() if news.done() and not news.cancelled() else [QUIET]
                        news.cancel()
                    began = time.thread_time()
                    writer.write(b"".join(messages))
                    self._feed.charge(reference, time.thread_time() - began)
                    await self._sent(writer)
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone


def _run_of(request: Request) -> str:
    reference = request.query.get("run", "latest")
    if not _REFERENCE.fullmatch(reference):
        raise Refused(HTTPStatus.BAD_REQUEST, "That is the id of no run.")
    return reference
