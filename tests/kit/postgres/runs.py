"""Runs of the installed command whose audit database is on a server, and what is on record of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.kit.postgres.databases import Database
from tests.kit.processes import held
from tests.kit.processes.tree import Tree

VARIABLE = "ELSPETH_LANDSCAPE__URL"


class OnServer:
    """Commands in a folder that find their database by the environment."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.environ = {VARIABLE: database.url}

    def run(self, *words: str) -> Tree:
        """Start the pipeline of the folder."""
        return Tree.run(self.folder, *words, environ=self.environ)

    def resume(self, *words: str) -> Tree:
        """Resume the latest run."""
        return Tree.resume(self.folder, *words, environ=self.environ)

    def elspeth(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Carry a command out, and assert its exit code."""
        done = held.elspeth(self.folder, *words, **self.environ)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def json(self, *words: str, code: int = 0) -> Any:
        """What a command answers with `--json`."""
        return json.loads(self.elspeth(*words, "--json", code=code).stdout)

    def committed(self) -> int:
        """Rows on record; 0 before there are any tables."""
        if not self.database.ask("SELECT to_regclass('rows')")[0][0]:
            return 0
        return int(self.database.ask("SELECT count(*) FROM rows")[0][0])

    def begun(self) -> bool:
        """Whether a run is on record."""
        there = self.database.ask("SELECT to_regclass('runs')")[0][0]
        return bool(there and self.database.ask("SELECT 1 FROM runs LIMIT 1"))

    def latest(self) -> tuple[str, str, int]:
        """Id, status and attempt of the latest run."""
        found = self.database.ask("SELECT run_id, status, attempt FROM runs ORDER BY started_at DESC, run_id DESC")
        return found[0]  # type: ignore[return-value]
