"""First process of the container: gives up root, starts the command `elspeth`, passes signals on, reaps orphans.

The command is not the first process itself: what the kernel denies to process 1 (being killed from inside, as the
watchdog of a run does when its main process hangs) and what it asks of it (reaping the orphans of everybody) would both
be in the way. Where another process is the first (`--init`, `docker exec`), this one becomes the command.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

COMMAND = "/usr/lib/elspeth/bin/elspeth"
STATE = Path("/app/state")
WRITTEN = (STATE, Path("/app/output"))
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
EXIT_USAGE = 2
EXIT_TEMPORARY = 75


def main() -> NoReturn:
    """Be the user whom the files belong to, then be the command, or its parent."""
    arguments = sys.argv[1:]
    wrong = give_up_root(STATE) or (writes(arguments) and not_writable(WRITTEN))
    if wrong:
        print(f"Error: {wrong}", file=sys.stderr)
        sys.exit(EXIT_TEMPORARY)
    if os.getpid() != 1:
        os.execv(COMMAND, [COMMAND, *arguments])
    sys.exit(look_after([COMMAND, *arguments]))


def give_up_root(state: Path) -> str:
    """Become the owner of the state directory, if this is root and that is not; answers what stands in the way."""
    if os.geteuid() != 0 or not state.exists():
        return ""
    owner = state.stat()
    if owner.st_uid == 0:
        return ""
    try:
        os.setgroups([owner.st_gid])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
    except PermissionError:
        return (
            f"{state} belongs to user {owner.st_uid} and this container may not change to it; "
            f"add --user {owner.st_uid}:{owner.st_gid}"
        )
    os.environ["HOME"] = "/app"
    return ""


def writes(arguments: Sequence[str]) -> bool:
    """Whether this command line is one that drives a run."""
    return "resume" in arguments or ("run" in arguments and "--execute" in arguments)


def not_writable(folders: Sequence[Path]) -> str:
    """The first folder that this user cannot write to, and the option that mends it; nothing if all is well."""
    for folder in folders:
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            return _denied(folder, folder.stat())
    return ""


def _denied(folder: Path, owner: os.stat_result) -> str:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"{folder} cannot be written to; add --volume HOST_FOLDER:{folder}"
    return (
        f"{folder} belongs to user {owner.st_uid} and user {os.geteuid()} may not write to it; "
        f"add --user {owner.st_uid}:{owner.st_gid}"
    )


def look_after(command: list[str]) -> int:
    """Run the command, and be process 1 for everything that it leaves behind; answers the exit code."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        _in_front()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.execv(command[0], command)
    while True:
        number = signal.sigwait({*PASSED_ON, signal.SIGCHLD})
        if number == signal.SIGCHLD:
            status = _reap(child)
            if status is not None:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        else:
            with suppress(ProcessLookupError):
                os.kill(child, number)


def _in_front() -> None:
    """On a terminal: a process group of its own in front, so that Ctrl-C reaches the command once."""
    if not os.isatty(0):
        return
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    with suppress(OSError):
        os.tcsetpgrp(0, os.getpgrp())


def _reap(child: int) -> int | None:
    """Take leave of everybody who has ended; answers the child's status if it is among them."""
    found = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                found = status
    return found


if __name__ == "__main__":
    main()
