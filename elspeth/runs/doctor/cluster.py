"""Whether a cluster can be reached and has room: one worker is asked for, in a process of its own, and let go again.

What an engine rests on takes seconds to import and threads to run: the doctor itself does neither.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

from actors.import_path import import_path
from actors.places.far.transport import Node, Transport
from elspeth.errors import Temporary
from elspeth.runs.doctor.findings import Findings
from elspeth.runs.lifecycle.cluster import transport_of
from elspeth.settings.cluster import Cluster

PATIENCE_SECONDS = 45.0
"""How long is waited for an answer: to connect takes up to ten seconds, and to begin a worker some more."""

_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from elspeth.runs.doctor.cluster import ask; ask(sys.argv[1])"


def check_cluster(cluster: Cluster, findings: Findings, *, patience: float = PATIENCE_SECONDS) -> None:
    """Note down whether one of the workers that the settings ask for would begin there now."""
    findings.ask("cluster", lambda: _asked(cluster, patience))


def _asked(cluster: Cluster, patience: float) -> str:
    words = [sys.executable, "-c", _BOOT, cluster.model_dump_json(), *import_path()]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            said, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    what, _, words_said = said.decode(errors="replace").strip().rpartition("\n")[2].partition(" ")
    if what == "room":
        return f"the cluster has room for a worker, on {words_said}; asked for are {cluster.words()}"
    if what == "full":
        raise Temporary(
            f"the cluster was reached, and has found no room for a worker within {patience:g} s",
            details=[f"asked for are {cluster.words()}", f"nodes: {words_said}"],
            next_step="a resume waits for room, cluster.outage_seconds long; or ask for less (cluster.resources)",
        )
    why = words_said if what == "lost" else f"no answer within {patience:g} s"
    raise Temporary(
        f"the cluster cannot be reached: {why}",
        next_step="see that it runs, or go on without it: --set cluster=null --set concurrency.max_workers=4",
    )


class _Ear:
    """Hears of the one agent that is asked for."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.said = ""

    def arrived(self, node: Node) -> None:
        self._say(f"room {node}")

    def heard(self, piece: bytes) -> None:
        """Nothing is said to it, so that it has nothing to answer."""

    def gone(self, why: str, refused: bool = False) -> None:
        self._say(f"lost {'it refuses: ' if refused else ''}a node agent {why}")

    def _say(self, words: str) -> None:
        if not self.over.is_set():
            self.said = words
            self.over.set()


def ask(settings: str, say: Callable[[str], object] = sys.stdout.write) -> None:
    """In a process of its own: say in one line what came of asking for a worker; "full" so far, from time to time."""
    transport: Transport = transport_of(Cluster.model_validate_json(settings))
    ear = _Ear()
    agent = transport.ask("elspeth doctor", ear)
    while not ear.over.wait(1.0):
        if nodes := transport.nodes():
            _say(say, f"full {', '.join(map(str, nodes[:5]))}{' ...' if len(nodes) > 5 else ''}")
    _say(say, ear.said)
    agent.kill()
    transport.close()


def _say(say: Callable[[str], object], words: str) -> None:
    say(f"{words}\n")
    sys.stdout.flush()
