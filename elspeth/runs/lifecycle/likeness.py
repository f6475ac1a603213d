"""What must be the same on every machine that decides rows of a run: what it asks for, and what a machine has."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import elspeth
from elspeth import __version__
from elspeth.plugins.contract import Plugin
from elspeth.runs.lifecycle import driver

FACTS = f"{__name__}:found"
"""Where an agent finds what its machine has."""

_PACKAGE = "package "
_SITE = Path(elspeth.__path__[0]).parent
_BESIDE = {"Elspeth's plugins": ("elspeth/plugins",), "Elspeth's messages": ("actors", "elspeth/audit")}
"""Of what an attempt does not record as code that decides: built-in plugins, which its steps are, and what makes the
messages of a worker. In folders beside each other, however they are installed."""


def required(plugins: Iterable[Plugin]) -> dict[str, str]:
    """What another machine has to have in order to decide as this one does, by names for people.

    Elspeth, and its code that decides; the feature version of Python; packages that read, check or write values, and
    those that plugins import. Plugin files are not among them: those travel.
    """
    now = driver.present(plugins)
    here = _packages()
    packages = {name: here[name] for name in now.packages if name in here}
    return {**_program(), **{f"{_PACKAGE}{name}": version for name, version in sorted(packages.items())}}


def found() -> dict[str, str]:
    """What this machine has: everything that could be required."""
    return {**_program(), **{f"{_PACKAGE}{name}": version for name, version in _packages().items()}}


def _program() -> dict[str, str]:
    python = ".".join(platform.python_version_tuple()[:2])
    return {
        "Elspeth": __version__,
        "Elspeth's code": driver.code_hash()[:16],
        **{name: _digest(rooms) for name, rooms in _BESIDE.items()},
        "Python": f"{platform.python_implementation()} {python}",
    }


def _digest(rooms: tuple[str, ...]) -> str:
    digests = [driver.digest_of(str(_SITE), room) for room in rooms]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def _packages() -> Mapping[str, str]:
    """The version of each package that can be imported, by the name it is imported by."""
    versions: dict[str, str] = {}
    for name, owners in metadata.packages_distributions().items():
        versions[name] = metadata.version(owners[0])
    return versions
