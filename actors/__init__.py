"""A small runtime for supervised actors in processes of their own. It knows nothing of rows, sinks or databases.

What is listed here is public; `README.md` beside this file shows it at work.

Names are imported on first use: a child process needs few of them, and must start fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.child import Child, Port
    from actors.events import ChildDown, ChildUp, FrameReceived, GaveUp, Tick
    from actors.identity import Identity
    from actors.lifecycle import LifecycleError, State
    from actors.places.local.fork_server import ForkServer, ForkServerGone
    from actors.reactor import Outbox
    from actors.spec import ChildSpec, GivenFile, SpecError
    from actors.strategy import RestartIntensity, Strategy
    from actors.supervisor import ChildInfo, Supervisor, UnknownChild

_HOMES = {
    "Child": "child",
    "ChildDown": "events",
    "ChildInfo": "supervisor",
    "ChildSpec": "spec",
    "ChildUp": "events",
    "FrameReceived": "events",
    "GaveUp": "events",
    "GivenFile": "spec",
    "Identity": "identity",
    "LifecycleError": "lifecycle",
    "ForkServer": "places.local.fork_server",
    "ForkServerGone": "places.local.fork_server",
    "Outbox": "reactor",
    "Port": "child",
    "RestartIntensity": "strategy",
    "SpecError": "spec",
    "State": "lifecycle",
    "Strategy": "strategy",
    "Supervisor": "supervisor",
    "Tick": "events",
    "UnknownChild": "supervisor",
}

__all__ = [
    "Child",
    "ChildDown",
    "ChildInfo",
    "ChildSpec",
    "ChildUp",
    "ForkServer",
    "ForkServerGone",
    "FrameReceived",
    "GaveUp",
    "GivenFile",
    "Identity",
    "LifecycleError",
    "Outbox",
    "Port",
    "RestartIntensity",
    "SpecError",
    "State",
    "Strategy",
    "Supervisor",
    "Tick",
    "UnknownChild",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'actors' has no attribute {name!r}")
    return getattr(import_module(f"actors.{_HOMES[name]}"), name)
