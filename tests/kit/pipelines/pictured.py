"""Runs that are looked at: in screenshots, by who clicks through their page, and in the pictures of the docs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.kit.processes.held import elspeth, killed_run, make
from tests.kit.processes.running import EXAMPLES
from tests.kit.processes.tree import COMMAND
from tests.kit.processes.waiting import PATIENCE_SECONDS

SCRIPT = "<script>document.title='hacked'</script>"
HOSTILE = f"{SCRIPT}</script><img src=x onerror=\"document.title='hacked'\"><svg onload=alert(1)>\u202eeslaf\x1b[31m"
"""What somebody may write into a row to harm who looks at it; without a comma."""

LOANS = """\
source:
  plugin: csv
  options:
    path: input.csv
    schema: {mode: fixed, fields: ["id: int", "amount: int", "income: int", "defaults: int", "note: str"]}
    on_validation_failure: unreadable
  on_success: applications
gates:
  - name: worth_a_look
    input: screened
    condition: "row['amount'] > 100"
    routes: {"true": fork, "false": small}
    fork_to: [income, history]
  - name: verdict
    input: opinions_given
    condition: "row['income_ok'] and row['history_ok']"
    routes: {"true": approved, "false": review}
transforms:
  - name: screen
    plugin: keyword_filter
    input: applications
    options: {fields: [note], blocked_patterns: [fraud]}
    on_success: screened
    on_error: stopped
  - name: ask_income
    plugin: value_transform
    input: income
    options: {operations: [{target: income_ok, expression: "row['income'] * 4 >= row['amount']"}]}
    on_success: income_opinion
  - name: ask_history
    plugin: value_transform
    input: history
    options: {operations: [{target: history_ok, expression: "row['defaults'] == 0"}]}
    on_success: history_opinion
coalesce:
  - name: opinions
    branches: {income: income_opinion, history: history_opinion}
    policy: require_all
    merge: union
    on_success: opinions_given
sinks:
  small: {plugin: csv, options: {path: output/small.csv}}
  approved: {plugin: csv, options: {path: output/approved.csv}}
  review: {plugin: csv, options: {path: output/review.csv}}
  stopped: {plugin: json, options: {path: output/stopped.jsonl, format: jsonl}}
  unreadable: {plugin: json, options: {path: output/unreadable.jsonl, format: jsonl}}
"""


def loans(folder: Path, note: str = "", number: str = "n/a", rows: int = 2000) -> Path:
    """A run of forks, merges and errors that is complete; `note` and `number` stand in the rows that are refused."""
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(LOANS)
    note, number = note.replace('"', '""'), number.replace('"', '""')
    (folder / "input.csv").write_text(
        "id,amount,income,defaults,note\n"
        + "".join(
            f'{at},{chr(34) + number + chr(34) if at % 97 == 5 else at * 37 % 400},{at * 7 % 90},{int(at % 5 == 0)},'
            f'"{"fraud, it seems " + note if at % 31 == 3 else "paid on time"}"\n'
            for at in range(rows)
        ),
        encoding="utf-8",
    )  # fmt: skip
    done = elspeth(folder, "run", "--settings", "pipeline.yaml", "--execute")
    assert done.returncode == 0, done.stderr
    return folder


def dead(folder: Path) -> Path:
    """A run that was killed after some commits."""
    killed_run(make(folder))
    return folder


def tickets(folder: Path) -> Path:
    """A run each row of which asked a model."""
    shutil.copytree(
        EXAMPLES / "triage", folder, ignore=shutil.ignore_patterns("output", "runs", "state", "__pycache__")
    )
    words = (sys.executable, "with_model.py", COMMAND, "run", "--settings", "pipeline.yaml", "--execute")
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return folder
