"""`elspeth ui`: the runs of a database as a page in a browser, live."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from elspeth.audit.query.locate import locate
from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.view import explain
from elspeth.errors import ENDING_SIGNALS, Interrupted, stopped_by
from elspeth.runs.views.ui.access import Access
from elspeth.runs.views.ui.listening import address, is_loopback, listening
from elspeth.runs.views.ui.server import Server

PORT = 8643
_ENDING = (signal.SIGINT, *ENDING_SIGNALS)


@click.command(
    "ui",
    cls=Examples,
    epilog="""
        elspeth ui
        elspeth ui --open --database state/audit.db
        elspeth ui --port 0 --host 0.0.0.0
    """,
)
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True,
              help="The port; 0 takes one that is free.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST",
              help="Where to listen. Without it only this machine is answered.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@database_option
@json_option
@pass_context
def command(context: CliContext, port: int, host: str, opens: bool) -> int:
    """Serve a page about the runs of a database: what `report` shows, live, and the story of any row.

    Prints the address to open, until Ctrl-C. Whoever has the address may see everything, and change nothing: the
    database is only read, and runs are left alone.
    """
    path = locate(context.database, os.environ, Path.cwd())
    access = Access(host)
    with listening(host, port) as listener:

        def announce() -> None:
            shown = address(host, listener, access.token)
            if context.json:
                output.result_json({"address": shown, "database": str(path)})
            else:
                output.result(shown)
                output.message(f"shows {path} to whoever has this address; Ctrl-C ends it")
            if not is_loopback(listener):
                output.message("Others on the network can reach it, and what is sent is not encrypted.")
            if opens:
                # Beside the server: a browser for terminals comes back when it is left.
                threading.Thread(target=_open, args=(address(host, listener, access.once()),), daemon=True).start()

        # What a signal raises while an event loop is being made leaves half of one, which complains when it goes.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        raise asyncio.run(_serve(Server(path, access, _story), listener, announce))


def _open(shown: str) -> None:
    if not webbrowser.open(shown):
        output.message("No browser was found to open it in.")


def _story(lineage: dict[str, Any]) -> str:
    return output.plain(explain.render(lineage))


async def _serve(server: Server, listener: socket.socket, announce: Callable[[], None]) -> Interrupted:
    """Serve until a signal comes; answers what the command ends with. Signals are blocked when it begins."""
    stopped, came = asyncio.Event(), signal.SIGINT
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        nonlocal came
        came = number
        stopped.set()

    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    announce()
    await server.serve(listener, stopped)
    return stopped_by(came)
