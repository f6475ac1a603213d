from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from tests.kit.processes.running import ELSPETH, elspeth, environment, tree


def test_what_init_writes_runs_with_the_command_that_it_names(tmp_path: Path) -> None:
    done = elspeth("init", "my first", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = done.stdout.splitlines()[-1].strip()
    typed = command.replace("elspeth ", f"{shlex.quote(str(ELSPETH))} ", 1)
    ran = subprocess.run(
        ["bash", "-c", typed], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "my first/output/review.csv").read_text() == (
        "id,customer,amount,total\n2,Ben,1800,1805\n5,Emil,996,1001\n"
    )
    assert "1 quarantined" in ran.stdout


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text("mine")
    before = tree(tmp_path)
    done = elspeth("init", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert "input.csv" in done.stderr
    assert tree(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = elspeth("init", "file/folder", cwd=tmp_path)
    assert done.returncode == 75
    assert "internal error" not in done.stderr
    assert "cannot be written" in done.stderr


def test_init_tells_programs_what_it_wrote(tmp_path: Path) -> None:
    told = json.loads(elspeth("init", "here", "--json", cwd=tmp_path).stdout)
    assert told["files"] == ["here/pipeline.yaml", "here/input.csv"]
    assert told["next_command"] == "cd here && elspeth run --settings pipeline.yaml --execute"
