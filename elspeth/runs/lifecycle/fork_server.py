"""The process that the children of a run are forked from, and what it imports for them.

Light: a command starts it first, so that both import at the same time.
"""

from __future__ import annotations

from actors.places.local.fork_server import ForkServer
from elspeth.errors import Temporary

MODULES = (
    "elspeth.roles.audit",
    "elspeth.roles.source",
    "elspeth.roles.sink",
    "elspeth.roles.worker",
    "elspeth.roles.stage",
    "elspeth.plugins.sources.csv_source",
    "elspeth.plugins.sinks.csv_sink",
)
"""All roles, and the plugins that most pipelines have. No code of users, ever: it may start threads, or die."""


def fork_server() -> ForkServer:
    """Start it. It lives as long as the calling thread, at most, and with it every child of the run.

    Raises `Temporary` if the system has no room for another process.
    """
    try:
        return ForkServer(MODULES, "elspeth fork_server")
    except OSError as error:
        raise Temporary(f"no process could be started: {error.strerror or error}") from error
