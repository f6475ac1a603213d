"""What asks services is told, reported and decided again from a PostgreSQL server as from a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.kit.pipelines.calling import KEY, lay
from tests.kit.postgres.databases import Database
from tests.kit.processes.running import elspeth
from tests.kit.provider.server import FakeProvider

RUN = ("run", "--settings", "pipeline.yaml", "--execute", "--json")


def told(folder: Path, url: str) -> dict[str, Any]:
    """What is said of a run of a pipeline with calls, ids, times and places aside."""
    landscape = {"ELSPETH_LANDSCAPE__URL": url}
    done = elspeth(*RUN, cwd=folder, CALLS_KEY=KEY, **landscape)
    assert done.returncode == 0, done.stderr
    run_id = json.loads(done.stdout)["run_id"]
    said: dict[str, Any] = {}
    for words in (("replay", run_id, "--json"), ("explain", "--row", "3"), ("report", run_id, "-o", "run.html")):
        done = elspeth(*words, cwd=folder, **landscape)
        assert done.returncode == 0, done.stderr
        said[words[0]] = re.sub(r'"database": ".*"', "", done.stdout)
    page = (folder / "run.html").read_text()
    said["report"] = re.findall(r'"(?:exchanges|answered|unknown|input_tokens|output_tokens|refused)":\d+', page)
    text = json.dumps(said).replace(run_id, "RUN")
    return dict(json.loads(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d+(\.\d+)? m?s\b|\b[0-9a-f]{12,64}\b", "#", text)))


def test_a_run_with_calls_says_the_same_on_both(postgres: Database, tmp_path: Path) -> None:
    with FakeProvider() as provider:
        folders = [lay(tmp_path / name, provider.url, 20, pool=1) for name in ("file", "server")]
        on_file, on_server = (
            told(folder, url) for folder, url in zip(folders, ("sqlite:///./runs/audit.db", postgres.url), strict=True)
        )
    assert '"exchanges":20' in on_file["report"]
    assert {kind: on_file[kind] == on_server[kind] for kind in on_file} == dict.fromkeys(on_file, True), on_server
