"""What the guide on more machines shows can be said: settings are taken, commands have these options, SQL answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.markdown import blocks
from tests.docs.repository import ROOT, text_of
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.places.ray_cluster import require_ray
from tests.kit.places.stand_in import environment
from tests.kit.processes.program import Programs
from tests.kit.processes.recorded_run import query
from tests.kit.processes.running import elspeth

PAGE = ROOT / "ops" / "docs" / "guides" / "more-machines.md"
HOME = "concurrency: {max_workers: 2}\n"


def shown(language: str) -> list[str]:
    return [block.text for block in blocks(text_of(PAGE)) if block.language == language]


def test_its_settings_are_taken_and_told(tmp_path: Path) -> None:
    (settings,) = shown("yaml")
    folder = lay_out(tmp_path / "run", DECIDING.replace(HOME, settings))
    told = " ".join(elspeth("validate", cwd=folder, **environment()).stdout.split())
    assert "Workers: up to 4 here, up to 40 on the cluster of this machine (Ray), each of which needs" in told


def test_its_question_names_workers_and_their_nodes(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", DECIDING.replace(HOME, "concurrency: {max_workers: 0}\ncluster: {workers: 1}\n"))
    programs.start(folder, "run", "pipeline.yaml", "--execute", **environment()).ends_with(0)
    (sql,) = shown("sql")
    [(_, child, event, detail)] = query(folder / "runs/audit.db", sql.strip().rstrip(";"))
    assert (child, event) == ("worker-1", "started")
    assert json.loads(detail)["node"] == "east (127.0.0.1)"
    assert "lost" not in json.loads(detail)


def test_commands_of_ray_have_the_options_that_it_shows() -> None:
    require_ray()
    text = "\n".join(shown("sh")).replace("\\\n", " ")
    used = re.findall(r"\bray ([a-z-]+)([^\n>]*?)(?: -- |\n|$| >)", text)
    assert {command for command, _ in used} == {"start", "get-auth-token", "symmetric-run"}
    for command, rest in used:
        boot = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
        words = [sys.executable, "-c", boot, command, "--help"]
        told = subprocess.run(words, capture_output=True, text=True, timeout=120).stdout
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in told, (command, option)
