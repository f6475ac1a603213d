"""Records every call by which programs change files below a folder, with strace, in the order in which they ended."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.kit.processes.program import standard_input

CHANGING = (
    "open", "openat", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "truncate", "lseek",
    "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir",
)  # fmt: skip
UNKNOWN = (
    "fallocate", "copy_file_range", "sendfile", "splice", "link", "linkat", "symlink", "symlinkat", "sync_file_range",
    "sync", "syncfs", "mmap", "vmsplice", "io_uring_setup",
)  # fmt: skip
"""What could change a file too, and nobody uses: a recording in which one of these does is refused."""

TRACE = f"trace={','.join((*CHANGING, *UNKNOWN))}"
UNREAD = 10**8  # bytes of a string that strace would show a part of

_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")
_GONE = b" (deleted)"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that succeeded. `begun` is how many calls had ended when it began.

    `cut_off`: whoever made it died in it, so that nobody knows whether it was carried out. `path` is the file that the
    descriptor or the name leads to, `new_path` the new one of a rename.
    """

    name: str
    path: Path
    begun: int
    data: bytes = b""
    offset: int | None = None
    new_path: Path | None = None
    flags: str = ""
    cut_off: bool = False


class NotRecordable(Exception):
    """Why this machine cannot record: strace is missing, or a process may not be traced here."""


def require_strace() -> str:
    """The program. Raises `NotRecordable` with what to do."""
    program = shutil.which("strace")
    if program is None:
        raise NotRecordable("strace is not installed (on Debian: apt-get install strace)")
    tried = subprocess.run([program, "-f", "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise NotRecordable(f"processes cannot be traced here: {tried.stderr.strip().splitlines()[-1]}")
    return program


def record(folder: Path, words: Sequence[str], trace: Path, environment: dict[str, str]) -> tuple[int, list[Call]]:
    """Carry out a command in `folder`; answers its exit code and all its calls below the folder, its children's too.

    The trace is left in the file `trace`. The command gets a process group of its own, all of which may be killed.
    """
    log = trace.with_suffix(".log")
    options = ["-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", str(UNREAD), "-e", TRACE, "-e", "signal=none"]
    with log.open("wb") as output, standard_input(folder).open("rb") as given:
        done = subprocess.run(
            [require_strace(), *options, "-o", str(trace), "setsid", "--wait", *words], cwd=folder, env=environment,
            stdin=given, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    return done.returncode, list(calls(trace, folder))


def calls(trace: Path, folder: Path) -> Iterator[Call]:
    """The calls below a folder from what strace wrote, in the order of their ends; last those that death cut off."""
    begun: dict[tuple[str, str], tuple[str, int]] = {}
    ended = 0
    unknown: list[Call | None] = []
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if match := _BEGUN.match(line):
                begun[match[1], match[2]] = match[3], ended
                continue
            at = ended
            if match := _WHOLE.match(line):
                pid, name, arguments, answer = match.groups()
            elif match := _ENDED.match(line):
                pid, name, rest, answer = match.groups()
                before, at = begun.pop((pid, name), ("", ended))
                arguments = before + rest
            else:
                continue
            if answer == "?":
                unknown.append(_call(name, arguments.removesuffix(" <unfinished ...>"), UNREAD, at, folder))
                continue
            if int(answer) < 0:
                continue
            call = _call(name, arguments, int(answer), at, folder)
            if call is not None:
                ended += 1
                yield call
    unknown += [_call(name, arguments, UNREAD, at, folder) for (_, name), (arguments, at) in begun.items()]
    yield from (replace(call, cut_off=True) for call in unknown if call is not None)


def _call(name: str, arguments: str, answer: int, begun: int, folder: Path) -> Call | None:
    if name in ("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "lseek", "fsync", "fdatasync"):
        path = _of_descriptor(arguments, folder)
        if path is None:
            return None
        if name in ("fsync", "fdatasync"):
            return Call("sync", path, begun)
        last = arguments.rsplit(", ", 1)[-1]
        if name == "ftruncate":
            return Call("resize", path, begun, offset=int(last))
        if name == "lseek":
            return Call("seek", path, begun, offset=answer)
        data = b"".join(_bytes(found) for found in _TEXT.findall(arguments))[:answer]
        return Call("write", path, begun, data, int(last) if name.startswith("p") else None)
    if name in UNKNOWN:
        return _unknown(name, arguments, folder)
    paths = list(_of_names(arguments, folder))
    if not paths or not any(_below(path, folder) for path in paths):
        return None
    if name in ("open", "openat", "creat"):
        if "O_CREAT" not in arguments and "O_TRUNC" not in arguments and "O_RDONLY" in arguments:
            return None
        return Call("open", paths[0], begun, flags="O_CREAT|O_TRUNC" if name == "creat" else arguments)
    if name.startswith("rename"):
        return Call("rename", paths[0], begun, new_path=paths[1])
    if name in ("mkdir", "mkdirat"):
        return Call("mkdir", paths[0], begun)
    if name in ("unlink", "unlinkat", "rmdir"):
        return Call("remove", paths[0], begun)
    raise NotRecordable(f"{name} of {paths[0]} is not understood")


def _unknown(name: str, arguments: str, folder: Path) -> None:
    if name == "mmap" and not ("MAP_SHARED" in arguments and "PROT_WRITE" in arguments):
        return
    descriptors = [_bytes(found[0]) for found in _FD.findall(arguments)]
    paths = [Path(os.fsdecode(found)) for found in descriptors] + list(_of_names(arguments, folder))
    # SQLite maps its -shm file, which holds nothing that a power cut could take.
    if any(_below(path, folder) and not path.name.endswith("-shm") for path in paths) or name.startswith("sync"):
        raise NotRecordable(f"{name}({arguments[:200]}) is not understood")


def _of_descriptor(arguments: str, folder: Path) -> Path | None:
    match = _FD.match(arguments)
    if match is None or match[2]:
        return None
    name = _bytes(match[1])
    path = Path(os.fsdecode(name))
    return path if not name.endswith(_GONE) and _below(path, folder) else None


def _of_names(arguments: str, folder: Path) -> Iterator[Path]:
    for match in _TEXT.finditer(arguments):
        yield Path(os.path.normpath(folder / os.fsdecode(_bytes(match[1]))))


def _below(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
