"""What drives an attempt and decides its results: versions of programs, and hashes of the code of Elspeth that decides.

Each attempt records it, in the commit that begins it, as a chained event of the run. Who resumes compares: where what
decides is another, the operator has to say that the run goes on with it; where only a number differs, that is told.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

import msgspec
import orjson

import elspeth
from elspeth import __version__, ids
from elspeth.audit.chain.records import Record
from elspeth.audit.query.reader import AuditReader
from elspeth.canonical import JsonObject
from elspeth.errors import ElspethError
from elspeth.plugins.contract import Changes, Plugin
from elspeth.plugins.registry import BUILT_IN
from elspeth.plugins.services import extras

EVENT = "driver"

NOT_RECORDED = "what is not on record"
"""Who drove an attempt of a release that did not record it."""

DECIDES = ("calls", "canonical.py", "concealment.py", "coordinator", "execution", "expressions", "graph",
           "ids.py", "located.py", "payloads.py", "plugins", "roles", "schema")  # fmt: skip
"""What of Elspeth decides results: how services are asked, how rows are read, what is decided about them, in which
order they are written, and what stands in them where a credential was."""

PACKAGES = ("msgspec", "orjson", "pydantic", "pydantic_core", "rfc8785")
"""Packages that read, check or write values of rows and options."""

_BY_NODE = {target.partition(":")[0] for target in BUILT_IN.values()}
_ROOT = str(Path(elspeth.__file__).parent)


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """What drove an attempt. `code` holds a SHA-256 (hex) for each room of Elspeth's code that decides."""

    elspeth: str
    python: str
    implementation: str
    platform: str
    packages: dict[str, str] = {}
    code: dict[str, str] = {}

    @property
    def code_hash(self) -> str:
        """SHA-256 (hex) over all of the code."""
        return _hash_of(self.code)

    def __str__(self) -> str:
        return f"Elspeth {self.elspeth} (code {self.code_hash[:12]}), {self._python}, {self.platform}"

    @property
    def _python(self) -> str:
        return f"{self.implementation} {self.python}"

    def to_value(self) -> JsonObject:
        """The same as plain data, as it is recorded."""
        return {"code_hash": self.code_hash, **msgspec.to_builtins(self)}


def present(plugins: Iterable[Plugin]) -> Driver:
    """What drives an attempt of this process. The packages that the users' plugins import are among its packages."""
    plugins = tuple(plugins)
    names = {*PACKAGES, *(name for plugin in plugins for name in _imported(type(plugin)))}
    if any(isinstance(plugin, Changes) and plugin.providers() for plugin in plugins):
        names.update(extras.PACKAGES)
    return Driver(
        elspeth=__version__,
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=f"{platform.system()} {platform.machine()}",
        packages={name: _version(name) for name in sorted(names)},
        code=dict(code_of(_ROOT)),
    )


def code_hash() -> str:
    """SHA-256 (hex) over all of this process's code that decides."""
    return _hash_of(code_of(_ROOT))


def record(run_id: str, attempt: int, driver: Driver, at: str, accepted: Iterable[str] = ()) -> Record:
    """The event that says what drives this attempt, and which differences the operator accepted."""
    detail = {**driver.to_value(), "accepted": list(accepted)}
    text = orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode()
    return (ids.event_id(run_id, attempt, EVENT), attempt, None, EVENT, None, text, at)


def recorded(reader: AuditReader, run_id: str) -> dict[int, Driver]:
    """What drove the attempts of a run. Attempts from before this was recorded are left out.

    Raises `ElspethError` where what is on record cannot be read.
    """
    found = {}
    for attempt, detail in reader.own_events(run_id, EVENT).items():
        try:
            found[attempt] = msgspec.json.decode(detail or "", type=Driver)
        except msgspec.DecodeError as error:
            raise ElspethError(
                f"what drove attempt {attempt} of run {run_id} cannot be read: {error}",
                next_step=f"elspeth verify {run_id}",
            ) from None
    return found


def changes(drivers: Mapping[int, Driver], attempts: int) -> dict[int, str]:
    """What drove each attempt, in words: an entry for the first one, and for each that something else drove."""
    found: dict[int, str] = {}
    before = ""
    for attempt in range(1, attempts + 1):
        driver = drivers.get(attempt)
        now = str(driver) if driver is not None else NOT_RECORDED
        if now != before:
            found[attempt] = before = now
    return found


def differences(then: Driver, now: Driver) -> tuple[list[str], list[str]]:
    """What differs in what decides results, and what differs in numbers alone; a sentence each."""
    deciding = [
        f"Elspeth's {room.removesuffix('.py')}: code changed (Elspeth {then.elspeth} then, {now.elspeth} now)"
        for room, *hashes in _pairs(then.code, now.code)
        if hashes[0] != hashes[1]
    ]
    deciding += [
        f"package {name}: {before or 'not there'} then, {after or 'not there'} now"
        for name, before, after in _pairs(then.packages, now.packages)
        if before != after
    ]
    told = []
    if (then.implementation, _feature(then.python)) != (now.implementation, _feature(now.python)):
        deciding.append(f"Python: {then._python} then, {now._python} now")
    elif then.python != now.python:
        told.append(f"Python {then.python} then, {now.python} now")
    if then.elspeth != now.elspeth and not any(line.startswith("Elspeth's") for line in deciding):
        told.append(f"Elspeth {then.elspeth} then, {now.elspeth} now; what decides in it is the same")
    if then.platform != now.platform:
        told.append(f"{then.platform} then, {now.platform} now")
    return deciding, told


def _hash_of(code: Mapping[str, str]) -> str:
    return hashlib.sha256(orjson.dumps(dict(code), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _pairs(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[tuple[str, str | None, str | None]]:
    for name in sorted({**one, **other}):
        yield name, one.get(name), other.get(name)


def _feature(version: str) -> list[str]:
    return version.split(".")[:2]  # what follows mends mistakes, and is not to change what a program means


@cache
def code_of(root: str) -> Mapping[str, str]:
    """A digest for each room of the package in this folder: names and bytes of its modules.

    Built-in plugins are left out: each node of a run has the digest of its own.
    """
    found = {}
    for room in DECIDES:
        found[room] = digest_of(root, room)
    return found


def digest_of(root: str, room: str) -> str:
    """SHA-256 (hex) over names and bytes of the modules of a room."""
    digest = hashlib.sha256()
    for name, file in _modules(root, room):
        text = _bytes(file)
        digest.update(f"{name}:{len(text)}:".encode())
        digest.update(text)
    return digest.hexdigest()


def _modules(root: str, room: str) -> Iterator[tuple[str, str]]:
    """The modules of a room, by name in order, with their files."""
    place = f"{root}/{room}"
    if room.endswith(".py"):
        yield room, place
        return
    with os.scandir(place) as entries:
        ordered = sorted((entry.name, entry.is_dir()) for entry in entries)
    for name, is_folder in ordered:
        inside = f"{room}/{name}"
        if is_folder and name != "__pycache__":
            yield from _modules(root, inside)
        elif name.endswith(".py") and f"elspeth.{inside[:-3].replace('/', '.')}" not in _BY_NODE:
            yield inside, f"{place}/{name}"


def _bytes(file: str) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)  # a hundred files: pathlib would take three times as long
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _imported(plugin: type[Plugin]) -> Iterator[str]:
    """The packages that the module of a user's plugin imports, as far as they show in its names."""
    module = sys.modules.get(plugin.__module__)
    if module is None or plugin.__module__.startswith("elspeth."):
        return
    for value in vars(module).values():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        package = name.partition(".")[0] if isinstance(name, str) else ""
        known = {*sys.stdlib_module_names, "elspeth", "actors", module.__name__}
        if package and package not in known and package in sys.modules and not package.startswith("elspeth_"):
            yield package


def _version(package: str) -> str:
    module = sys.modules.get(package)
    for attribute in ("__version__", "VERSION"):
        found = vars(module).get(attribute) if module is not None else None
        if isinstance(found, str):
            return found  # asking the installation takes as long as reading all of the code
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
