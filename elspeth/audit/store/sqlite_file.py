"""How an audit database that is a file is opened and left: one writer, readers that disturb nobody, one file at rest.

While a run is alive the file is in write-ahead mode (readers never block the writer). The last orderly user sets it
back to a rollback journal: then the database is one file, a reader leaves nothing beside it, and it can be read from a
read-only mount. On a network file system, where write-ahead mode is unsafe, it stays with the rollback journal.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from actors.crash_points import crash_point
from elspeth.audit.store import schema
from elspeth.errors import ElspethError, Temporary

BUSY_SECONDS = 5.0

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gfs2",
                      "ocfs2", "davfs", "virtiofs", "vboxsf"})  # fmt: skip
_NETWORK_FUSE = ("sshfs", "glusterfs", "ceph", "s3fs", "rclone", "gcsfuse", "blobfuse", "osxfs", "grpcfuse")


def open_writer(path: Path, mode: int | None = None) -> sqlite3.Connection:
    """Open for writing, in write-ahead mode where that is safe; folders and file are created.

    A file that is created gets `mode`, or with None what the umask leaves; one that is there keeps its own. SQLite
    gives its side files the mode of the database. Transactions are begun and ended by hand. Raises `Temporary` where
    somebody or something is in the way.
    """
    with translated_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode is not None:
            _create(path, mode)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            if not schema.is_empty(connection) and schema.version(connection) is None:
                schema.check(connection, path)  # raises, before anything about a foreign file is changed
            # Only before the first table is made: what a purge frees can then be given back page by page, where VACUUM
            # would need as much room again.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # FULL does not sync the folder behind the unlink of a rollback journal: one that comes back after a power
            # cut would undo what was committed. In write-ahead mode both are the same.
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA cache_size = -16384")  # KiB: a large commit should not spill before its end
            journal = "DELETE" if file_system(path) is not None else "WAL"
            crash_point("audit.before_in_use")
            connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
            crash_point("audit.after_in_use")
        except BaseException:
            connection.close()
            raise
    return connection


def _create(path: Path, mode: int) -> None:
    """An empty file with this mode, whatever the umask says, unless there is one."""
    with contextlib.suppress(FileExistsError):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, mode)
        finally:
            os.close(fd)


def open_reader(path: Path) -> sqlite3.Connection:
    """Open for reading only; never creates the file, never changes what it holds.

    A transaction that somebody who died left half written to the file is rolled back first, which is SQLite's to do and
    needs to write. A file on a read-only mount that was left in write-ahead mode is read as it stands, if no side file
    says that there is more. Raises `Temporary` where it cannot be read now, `ElspethError` where it is no database.
    """
    if not path.is_file():
        raise ElspethError(f"there is no audit database at {path}", next_step="name it with --database")
    with translated_errors(path):
        name = quote(str(path.absolute()))
        try:
            connection = _reading(f"file:{name}?mode=ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            if side_files(path):
                return _rolled_back(path, name, error)
            connection = _reading(f"file:{name}?mode=ro&immutable=1")
    return connection


def out_of_place(path: Path, what: str) -> Temporary:
    """The error of a run that finds another file, or none, under the name of the database it is recorded in.

    `what` is what should stand there.
    """
    happened = "is another file now" if path.is_file() else "was deleted or moved"
    return Temporary(
        f"the audit database {path} {happened} while it was written to",
        details=[f"{what} is not under this name any more"],
        next_step="put the file back with its side files (-wal, -shm) and resume; or start the run again",
    )


def require_whole(path: Path, most_bytes: int | None = None) -> None:
    """Raise `ElspethError` where SQLite finds the database damaged. Reads all of it, unless it is larger than that."""
    if not path.is_file() or path.stat().st_size == 0 or (most_bytes and path.stat().st_size > most_bytes):
        return
    connection = open_reader(path)
    try:
        with translated_errors(path):
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    finally:
        connection.close()
    if found != "ok":
        raise damaged(path, found)


def damaged(path: Path, what: str) -> ElspethError:
    """The error that a damaged database is."""
    return ElspethError(
        f"the audit database {path} is damaged",
        details=what.splitlines(),
        next_step=f"restore a backup, or save what can be read: sqlite3 {path} .recover",
    )


def identity(path: Path) -> tuple[int, int] | None:
    """Which file stands behind the path now: device and inode, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def leave_orderly(connection: sqlite3.Connection) -> bool:
    """Close a writer's connection; answers whether the database is one file now (False: others still use it)."""
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        crash_point("audit.before_at_rest")
        alone = bool(connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete")
        crash_point("audit.after_at_rest")
    except sqlite3.OperationalError:
        alone = False  # another connection is open: whoever leaves last does it
    finally:
        connection.close()
    return alone


def side_files(path: Path) -> list[Path]:
    """The files that SQLite keeps beside a database in use, as far as they exist."""
    return [side for side in (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")) if side.exists()]


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The type of the network file system that `path` lies on, None if it lies on a local one or nobody can tell."""
    target = Path(os.path.realpath(path))
    best, kind = -1, ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        # proc(5): id, parent, device, root, mount point, options, optional fields, "-", type, ...
        fields, _, rest = line.partition(" - ")
        point = Path(fields.split(" ")[4].encode().decode("unicode_escape"))
        if (target == point or point in target.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split(" ")[0]
    if kind in _NETWORK or (kind.startswith("fuse") and any(name in kind for name in _NETWORK_FUSE)):
        return kind
    return None


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ours: which file, what is wrong with it, what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _error(error, path) from error
    except OSError as error:
        raise Temporary(
            f"the audit database {path} cannot be opened: {error.strerror or error}", next_step="mend it, then resume"
        ) from error


def _error(error: sqlite3.DatabaseError, path: Path) -> ElspethError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return ElspethError(f"{path} is not a database", next_step="name another one with --database")
    if code == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Temporary(
            f"the audit database {path} is locked by another program",
            details=[f"waited {BUSY_SECONDS:g} seconds"],
            next_step="end the program that holds it (lsof names it), then resume",
        )
    if code == sqlite3.SQLITE_INTERRUPT:
        return Temporary(f"what was asked of {path} took too long and was given up", next_step="ask for less")
    if code == sqlite3.SQLITE_FULL:
        return Temporary(f"the disk is full: {path} could not be written", next_step="make room, then resume")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return Temporary(
            f"the audit database {path} cannot be written: {error}", next_step="make it writable, then resume"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return Temporary(
            f"the audit database {path} cannot be opened",
            details=["the folder may not be readable and writable for this user"],
            next_step="mend it, then resume",
        )
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL):
        return Temporary(
            f"the audit database {path} cannot be read or written: {error}", next_step="mend it, then resume"
        )
    return ElspethError(f"the audit database {path} refused: {error}")


def _rolled_back(path: Path, name: str, error: sqlite3.OperationalError) -> sqlite3.Connection:
    """The database for reading, once SQLite has rolled back what stands half written in it: opening to write does."""
    beside = f"beside it: {', '.join(found.name for found in side_files(path))}"
    if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
        raise Temporary(
            f"{path} was not left in order, and its folder cannot be written to",
            details=[beside],
            next_step="mount the folder writable, or copy the database with its side files and read the copy",
        ) from error
    try:
        writing = sqlite3.connect(f"file:{name}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            writing.execute("PRAGMA synchronous = EXTRA")
            writing.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        finally:
            writing.close()
        return _reading(f"file:{name}?mode=ro")
    except sqlite3.OperationalError as refused:
        if refused.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        raise Temporary(
            f"somebody died while writing to {path}: before it is read that must be rolled back, which writes there",
            details=[beside, "nothing that was committed is lost"],
            next_step=f"as somebody who may write to its folder: sqlite3 {path} 'select 1'; or read a copy of both",
        ) from refused


def _reading(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only = 1")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # now it has to look into the file
    except BaseException:
        connection.close()
        raise
    return connection
