"""A port on which Prometheus finds the metrics: one page, GET only, in threads that die with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATIENCE_SECONDS = 10
MOST_AT_ONCE = 8
"""Scrapers that are answered at once; whoever comes beside them is sent away."""


class MetricsServer:
    """Serves what `page` answers at `/metrics`. Raises `OSError` where the port cannot be had."""

    def __init__(self, host: str, port: int, page: Callable[[], str]) -> None:
        room = threading.BoundedSemaphore(MOST_AT_ONCE)

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE_SECONDS
            server_version, sys_version = "elspeth", ""

            def do_GET(self) -> None:
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(HTTPStatus.NOT_FOUND, "there is /metrics and nothing else")
                    return
                if not room.acquire(blocking=False):
                    self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
                    return
                try:
                    body = page().encode()
                    self.send_response(HTTPStatus.OK)
                    self.send_header("Content-Type", CONTENT_TYPE)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                finally:
                    room.release()

            def log_message(self, format: str, *args: object) -> None:
                """Nobody wants a line for each scrape."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False  # a scraper that hangs is none of the run's concern
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A scraper that went away is no news."""

        self._server = Server((host, port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the port back."""
        self._server.shutdown()
        self._server.server_close()
