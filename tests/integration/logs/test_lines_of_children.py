"""What plugins print and log, and what dies in the middle of it, arrives on stderr: whole lines, none lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.kit.processes.running import elspeth

ROWS = 40
DEADLY = 30

TALKER = f'''\
"""A transform that talks in every way there is, and kills its process once."""

import logging
import os
import signal
import sys
from pathlib import Path

from elspeth.plugins.contract import Transform

log = logging.getLogger("talker")


class Talker(Transform):
    """Says each row's number four times."""

    name = "talker"

    def process(self, row, ctx):
        number = row["id"]
        print("printed", number, "x" * 5000)
        print("on stderr", number, file=sys.stderr)
        log.warning("logged %d", number)
        log.info("whispered %d", number)
        if number == {DEADLY} and not Path("died").exists():
            Path("died").touch()
            print("half a line", end="", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return row
'''

PIPELINE = """\
plugins: [talker.py]
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: fixed, fields: ["id: int"]}}
  on_validation_failure: discard
transforms:
  - {name: talk, plugin: talker}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
default_sink: out
concurrency: {max_workers: 1}
"""


def talked(folder: Path, *options: str) -> tuple[str, str]:
    """What a run of the talking pipeline printed on stdout and stderr."""
    (folder / "talker.py").write_text(TALKER)
    (folder / "pipeline.yaml").write_text(PIPELINE)
    (folder / "input.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(ROWS)))
    done = elspeth("run", "--settings", "pipeline.yaml", "--execute", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "died").exists()
    return done.stdout, done.stderr


def test_every_line_for_people_arrives_whole_with_run_and_role(tmp_path: Path) -> None:
    stdout, stderr = talked(tmp_path)
    (run_id,) = re.findall(r"^Run (\w{8})$", stderr, re.M)
    lines = set(stderr.splitlines())
    for number in range(ROWS):
        said = (f"printed {number} {'x' * 5000}", f"on stderr {number}", f"warning talker: logged {number}")
        for words in said:
            assert any(re.fullmatch(rf"{run_id} worker[\w.-]*: {words}", line) for line in lines), words
    assert any(re.fullmatch(rf"{run_id} worker[\w.-]*: half a line", line) for line in lines)
    assert "printed" not in stdout
    assert "whispered" not in stderr


def test_every_line_for_programs_is_one_object_with_run_role_and_level(tmp_path: Path) -> None:
    stdout, stderr = talked(tmp_path, "--log-format", "json", "--json", "--verbose")
    result = json.loads(stdout)
    lines = [json.loads(line) for line in stderr.splitlines()]
    assert {line["run_id"] for line in lines} == {result["run_id"]}
    assert all({"at", "role", "level", "message"} <= set(line) for line in lines)
    told = {(line["level"], line["message"]) for line in lines if line["role"].startswith("worker")}
    for number in range(ROWS):
        assert ("info", f"printed {number} {'x' * 5000}") in told
        assert ("warning", f"logged {number}") in told
        assert ("info", f"whispered {number}") in told
