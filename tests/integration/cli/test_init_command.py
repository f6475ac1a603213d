from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import jsonschema
import yaml

from tests.kit.processes.running import ELSPETH, EXAMPLES, elspeth, environment, tree


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
    assert told["files"] == ["here/pipeline.yaml", "here/input.csv", "here/pipeline.schema.json"]
    assert told["next_command"] == "cd here && elspeth run --settings pipeline.yaml --execute"


def test_what_init_writes_is_completed_and_checked_by_editors(tmp_path: Path) -> None:
    assert elspeth("init", ".", cwd=tmp_path).returncode == 0
    first, _, rest = (tmp_path / "pipeline.yaml").read_text().partition("\n")
    assert first == "# yaml-language-server: $schema=pipeline.schema.json"
    schema = json.loads((tmp_path / "pipeline.schema.json").read_text())
    assert schema == json.loads(elspeth("schema", cwd=tmp_path).stdout)
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(rest))


def test_the_schema_knows_plugins_of_ones_own(tmp_path: Path) -> None:
    plugin = EXAMPLES / "plugins" / "mask_transform.py"
    done = elspeth("schema", "--file", plugin, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = [
        each["if"]["properties"]["plugin"]["const"] for each in json.loads(done.stdout)["$defs"]["Transform"]["allOf"]
    ]
    assert "mask" in names
    missing = elspeth("schema", "--file", "nothing.py", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "nothing.py" in missing.stderr
