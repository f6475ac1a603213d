"""A disk in a model: what files and folders hold after any number of calls, and what a power cut may leave of that.

Every change is one of a file's content or of a folder's names. A sync makes durable what had been done before it began:
of a file its content and size, of a folder its names. Everything else may be lost, in the way that a model says:

- `strict`: nothing is kept but what was synced;
- `ext4`: names and sizes are kept in order up to some moment, at least up to the last sync of anything; the content of
  a file is kept up to some moment of its own, at least up to its last sync;
- `torn`: of the rest, each name and each page of a write is kept or lost by chance.

A rename within a folder happens or does not, as on every file system in use.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.power.recording import Call

MODELS = ("strict", "ext4", "torn")
PAGE = 4096


@dataclass(slots=True, eq=False)
class Inode:
    """A file or a folder: what it held when the recording began, durably, and what was done to it since."""

    folder: bool
    content: bytes = b""
    names: dict[str, Inode] = field(default_factory=dict)
    modified: int | None = None
    changes: list[Change] = field(default_factory=list)
    standing: int = 0  # where a write without an offset goes
    size: int = 0


@dataclass(slots=True, eq=False)
class Change:
    """One change: of a content (`data` at `offset`, or a size), or of names (None: the name goes)."""

    number: int
    inodes: tuple[Inode, ...]
    offset: int = 0
    data: bytes | None = None
    names: tuple[tuple[Inode, str, Inode | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Sync:
    """What is durable since call `number`: all changes of the inode that have a lower number than `before`."""

    number: int
    inode: Inode
    before: int
    path: Path


class Disk:
    """The files below a folder, as they were before a recording, and everything that was done since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = _read(folder)
        self.changes: list[Change] = []
        self.syncs: list[Sync] = []
        self.count = 0
        self._now: dict[Inode, dict[str, Inode]] = {}

    def apply(self, calls: Iterable[Call], keep: Callable[[Call], bool] = lambda call: True) -> None:
        """Take calls in, but for those that `keep` says no of, and for those that were cut off and left no trace."""
        start = self.count
        for call in calls:
            if call.cut_off and not self._left_a_trace(call):
                continue
            if keep(call):
                self._apply(call, start + call.begun)
            self.count += 1

    def kept(self, cut: int, model: str, chance: random.Random) -> Tree:
        """What a power cut after the first `cut` calls leaves, by one of `MODELS`."""
        durable = self._durable(cut)
        done = [change for change in self.changes if change.number < cut]
        if model == "strict":
            kept = durable
        elif model == "ext4":
            kept = durable | self._ordered(done, cut, durable, chance)
        elif model == "torn":
            share = chance.choice((0.1, 0.5, 0.9))
            kept = durable | {change for change in done if change.data is None and chance.random() < share}
            return Tree(self, [*_torn(done, kept, chance, share)])
        else:
            raise ValueError(model)
        return Tree(self, [change for change in done if change in kept])

    def whole(self, cut: int | None = None) -> Tree:
        """What every program sees after the first `cut` calls (all: None)."""
        return Tree(self, [change for change in self.changes if cut is None or change.number < cut])

    def durable_moments(self, below: Path) -> list[int]:
        """Numbers of calls behind which more is durable than before, of this folder or what lies in it."""
        place = self.folder / below
        return sorted({sync.number + 1 for sync in self.syncs if place in (sync.path, *sync.path.parents)})

    def _durable(self, cut: int) -> set[Change]:
        return {
            change
            for sync in self.syncs
            if sync.number < cut
            for change in sync.inode.changes
            if change.number < sync.before
        }

    def _ordered(self, done: list[Change], cut: int, durable: set[Change], chance: random.Random) -> set[Change]:
        forced = max((sync.before for sync in self.syncs if sync.number < cut), default=0)
        journaled = chance.choice((forced, cut, chance.randint(forced, cut)))
        kept = {change for change in done if change.data is None and change.number < journaled}
        for inode in {change.inodes[0] for change in done if change.data is not None}:
            end = chance.choice((0, cut, chance.randint(0, cut)))
            for change in inode.changes:
                if change.number >= end:
                    break
                if change.data is None and change not in kept | durable:
                    break  # what is written behind a size that the journal does not know yet
                if change.data is not None:
                    kept.add(change)
        return kept

    # -- taking calls in ---------------------------------------------------------------------------------------

    def _apply(self, call: Call, begun: int) -> None:
        if call.name == "open":
            self._open(call)
        elif call.name == "mkdir":
            self._add(call.path, Inode(folder=True))
        elif call.name == "remove":
            folder, name = self._place(call.path)
            self._name((folder, name, None))
        elif call.name == "rename":
            assert call.new_path is not None
            old, new = self._place(call.path), self._place(call.new_path)
            moved = self._names(old[0])[old[1]]
            self._name((*old, None), (*new, moved))
        elif call.name == "sync":
            self.syncs.append(Sync(self.count, self._find(call.path), begun, call.path))
        elif call.name == "seek":
            self._find(call.path).standing = call.offset or 0
        elif call.name == "resize":
            self._resize(self._find(call.path), call.offset or 0)
        else:
            self._write(self._find(call.path), call.offset, call.data)

    def _left_a_trace(self, call: Call) -> bool:
        """Whether the real disk shows what the model does not, and would with this call."""
        here = os.path.lexists(call.path)
        if call.name in ("open", "mkdir"):
            return here and not self._has(call.path)
        if call.name == "remove":
            return not here and self._has(call.path)
        if call.name == "rename":
            return not here and self._has(call.path)
        if not (here and self._has(call.path)) or call.name not in ("write", "resize"):
            return False
        content, inode = call.path.read_bytes(), self._find(call.path)
        if call.name == "resize":
            return len(content) == call.offset != inode.size
        offset = inode.standing if call.offset is None else call.offset
        return content[offset:].startswith(call.data)

    def _has(self, path: Path) -> bool:
        try:
            self._find(path)
        except KeyError:
            return False
        return True

    def _open(self, call: Call) -> None:
        folder, name = self._place(call.path)
        inode = self._names(folder).get(name)
        if inode is None:
            assert "O_CREAT" in call.flags, call
            self._add(call.path, Inode(folder=False))
            return
        if "O_TRUNC" in call.flags and inode.size:
            self._resize(inode, 0)
        inode.standing = inode.size if "O_APPEND" in call.flags else 0

    def _add(self, path: Path, inode: Inode) -> None:
        self._name((*self._place(path), inode))

    def _name(self, *names: tuple[Inode, str, Inode | None]) -> None:
        folders = tuple(dict.fromkeys(folder for folder, *_ in names))
        # Durable with the folder that has the new name.
        change = Change(self.count, folders[-1:], names=names)
        folders[-1].changes.append(change)
        self.changes.append(change)
        for folder, name, inode in names:
            if inode is None:
                del self._names(folder)[name]
            else:
                self._names(folder)[name] = inode

    def _resize(self, inode: Inode, size: int) -> None:
        change = Change(self.count, (inode,), offset=size)
        inode.changes.append(change)
        self.changes.append(change)
        inode.size = size

    def _write(self, inode: Inode, offset: int | None, data: bytes) -> None:
        if offset is None:
            offset = inode.standing
            inode.standing += len(data)
        change = Change(self.count, (inode,), offset, data)
        inode.changes.append(change)
        self.changes.append(change)
        inode.size = max(inode.size, offset + len(data))

    def _names(self, folder: Inode) -> dict[str, Inode]:
        return self._now.setdefault(folder, dict(folder.names))

    def _place(self, path: Path) -> tuple[Inode, str]:
        return self._find(path.parent), path.name

    def _find(self, path: Path) -> Inode:
        inode = self.root
        for name in path.relative_to(self.folder).parts:
            inode = self._names(inode)[name]
        return inode


class Tree:
    """Files and folders in one state."""

    def __init__(self, disk: Disk, changes: list[Change]) -> None:
        self._contents: dict[Inode, bytearray] = {}
        self._folders: dict[Inode, dict[str, Inode]] = {}
        self._root = disk.root
        for change in changes:
            for folder, name, inode in change.names:
                names = self._folders.setdefault(folder, dict(folder.names))
                names.pop(name, None)
                if inode is not None:
                    names[name] = inode
            if not change.names:
                self._change(change.inodes[0], change)

    def _change(self, inode: Inode, change: Change) -> None:
        content = self._contents.setdefault(inode, bytearray(inode.content))
        missing = change.offset - len(content)
        if missing > 0:
            content += bytes(missing)
        if change.data is None:
            del content[change.offset :]
        else:
            content[change.offset : change.offset + len(change.data)] = change.data

    def files(self) -> Iterator[tuple[Path, Inode, bytes]]:
        """Every file: its place below the folder, its inode, and what it holds."""
        for path, inode in self._walk(Path(), self._root):
            if not inode.folder:
                yield path, inode, bytes(self._contents.get(inode, inode.content))

    def lay(self, folder: Path, below: Path = Path()) -> None:
        """Write it, or a part of it, into a folder that is there and empty. What was not touched keeps its time."""
        for path, inode in self._walk(Path(), self._root):
            if below not in (path, *path.parents):
                continue
            place = folder / path
            if inode.folder:
                place.mkdir(exist_ok=True)
                continue
            place.write_bytes(self._contents.get(inode, inode.content))
            if inode.modified is not None and inode not in self._contents:
                os.utime(place, ns=(inode.modified, inode.modified))

    def _walk(self, path: Path, inode: Inode) -> Iterator[tuple[Path, Inode]]:
        yield path, inode
        if inode.folder:
            for name, child in self._folders.get(inode, inode.names).items():
                yield from self._walk(path / name, child)


def _torn(done: list[Change], kept: set[Change], chance: random.Random, share: float) -> Iterator[Change]:
    for change in done:
        if change in kept:
            yield change
        elif change.data is not None:
            end = change.offset + len(change.data)
            start = change.offset
            while start < end:
                upto = min(end, (start // PAGE + 1) * PAGE)
                if chance.random() < share:
                    piece = change.data[start - change.offset : upto - change.offset]
                    yield Change(change.number, change.inodes, start, piece)
                start = upto


def _read(path: Path) -> Inode:
    if path.is_dir():
        return Inode(True, names={child.name: _read(child) for child in path.iterdir()})
    content = path.read_bytes()
    return Inode(False, content, modified=path.stat().st_mtime_ns, size=len(content))
