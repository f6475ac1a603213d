"""A temporary folder that is removed when the process that made it is gone, however it ended; and who ends with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from actors import procfs

NAMES = ".ends-with-it"
"""The file in it of those who are to end with who made it: a pid and a start time on each line."""

_GUARD = """
exec 3<&0
{
  trap "" HUP INT TERM
  cat <&3 >/dev/null
  if [ -f "$1/$2" ]; then
    while read -r pid started; do
      if [ "$(sed "s/.*) //" "/proc/$pid/stat" | cut -d " " -f 20)" = "$started" ]; then kill -KILL "$pid"; fi
    done <"$1/$2"
  fi
  for _ in 1 2 3 4 5 6 7 8 9; do
    rm -rf -- "$1"
    sleep 1
    [ -e "$1" ] || exit
  done
} &
"""
"""Reads until the process that holds the other end is gone. What ends with that may be dying still, and write. A pid
may be somebody else's by then: who it is stands beside it, the time of its start.

It is nobody's child: Ray, for one, ends the children of what it ends.
"""


class GuardedFolder:
    """Made with rights for its owner only."""

    def __init__(self, prefix: str, within: str | None = None) -> None:
        """Raises `OSError`."""
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
        read_end, self._held = os.pipe()
        try:
            subprocess.run(
                ["/bin/sh", "-c", _GUARD, "guard", str(self.path), NAMES], cwd="/", stdin=read_end,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, check=True,
            )  # fmt: skip
        except BaseException:
            self.remove()
            raise
        finally:
            os.close(read_end)

    def take_along(self, pid: int) -> None:
        """Have this process killed, too, when the one that made the folder is gone before it removed it."""
        if (started := procfs.start_ticks(pid)) is not None:
            with (self.path / NAMES).open("a", encoding="ascii") as names:
                names.write(f"{pid} {started}\n")

    def remove(self) -> None:
        """With all that is in it. What cannot be removed yet, the guard goes on trying."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
