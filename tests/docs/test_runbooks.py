"""Every command of every runbook works: typed in order, in a folder in the state that the runbook is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from elspeth import errors
from elspeth.audit.store.place import place_of
from tests.docs import scenes
from tests.docs.command import run
from tests.docs.console import SHELL
from tests.docs.markdown import blocks
from tests.docs.repository import ROOT, name_of, text_of

DOCS = ROOT / "ops" / "docs"
DEPLOY = ROOT / "ops" / "deploy"
RUNBOOKS = sorted((DOCS / "runbooks").glob("*.md"))
SCENES = {
    "resume-failed-run": scenes.dead,
    "stuck-run": scenes.stuck,
    "incident-response": scenes.finished,
    "database-maintenance": scenes.kept,
    "disk-full": scenes.full,
}
ENDS_COMPLETE = ("resume-failed-run", "stuck-run", "disk-full")
FOR_PEOPLE = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
RECORDED = "SELECT status FROM runs ORDER BY started_at DESC LIMIT 1"

# What operators have in their own runbook: commands and columns that must keep working as they are.
CONTRACT = [
    (
        """sqlite3 runs/audit.db "
  SELECT run_id, status, started_at, completed_at,
         (SELECT COUNT(*) FROM rows WHERE rows.run_id = runs.run_id) as rows_processed
  FROM runs
  ORDER BY started_at DESC
  LIMIT 10;
" """,
        r"<RUN_ID>\|running\|2\d{3}-\S+\|\|[1-9]\d*\n",
    ),
    (
        """sqlite3 runs/audit.db "
  SELECT checkpoint_id, row_id, token_id, created_at
  FROM checkpoints
  WHERE run_id = '<RUN_ID>'
  ORDER BY created_at DESC
  LIMIT 5;
" """,
        r"<RUN_ID>\S+\|<RUN_ID>\S+\|<RUN_ID>\S+\|2\d{3}-\S+\n(?s:.*)",
    ),
    ("elspeth resume <RUN_ID>", r"(?s:.*)Run <RUN_ID> completed(?s:.*)"),
    (
        """sqlite3 runs/audit.db "SELECT status, completed_at FROM runs WHERE run_id = '<RUN_ID>';" """,
        r"completed\|2\d{3}-\S+\n",
    ),
    (
        """sqlite3 runs/audit.db "
  SELECT
    (SELECT COUNT(*) FROM rows WHERE run_id = '<RUN_ID>') as source_rows,
    (SELECT COUNT(*) FROM token_outcomes WHERE run_id = '<RUN_ID>' AND is_terminal = 1) as terminal_tokens;
" """,
        rf"{scenes.ROWS}\|{scenes.ROWS}\n",
    ),
    ('sqlite3 runs/audit.db "SELECT run_id FROM runs;"', r"<RUN_ID>\n"),
]


@pytest.mark.parametrize("name", SCENES)
def test_every_command_of_the_runbook_works(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    typed = [block for block in blocks(text_of(DOCS / "runbooks" / f"{name}.md")) if block.language == "sh"]
    assert typed
    with SCENES[name](folder) as scene:
        for block in typed:
            scene.before(block.text)
            text = scene.filled(block.text)
            assert not re.search(r"<[A-Z_]+>", text), text
            done = run(f"{SHELL}\nset -e\n{text}", folder)
            assert done.returncode == 0, f"{name}.md:{block.line}\n{text}\n{done.stdout}"
            assert "Usage:" not in done.stdout, done.stdout
        if name in ENDS_COMPLETE:
            assert scene.asked(RECORDED) == "completed"


def test_the_commands_that_operators_have_in_their_own_runbook_work(tmp_path: Path) -> None:
    with scenes.dead(tmp_path) as scene:
        run_id = scene.asked("SELECT run_id FROM runs")
        for command, shown in CONTRACT:
            done = run(f"{SHELL}\n{command.replace('<RUN_ID>', run_id)}", tmp_path)
            assert done.returncode == 0, done.stdout
            assert re.fullmatch(shown.replace("<RUN_ID>", run_id), done.stdout), f"{command}\n{done.stdout}"


def test_every_runbook_has_its_scene() -> None:
    assert {file.stem for file in RUNBOOKS} == {*SCENES, "container-deployment"}


@pytest.mark.parametrize("file", RUNBOOKS, ids=name_of)
def test_what_looks_like_a_command_is_one_that_is_run(file: Path) -> None:
    allowed = {"docker", "env"} if file.stem == "container-deployment" else {"sh", "psql"}
    assert {block.language for block in blocks(text_of(file))} <= allowed


def test_every_exit_code_is_in_the_reference() -> None:
    page = text_of(DOCS / "reference" / "exit-codes.md")
    listed = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.M)}
    assert listed == {name: value for name, value in vars(errors).items() if name.startswith("EXIT_")}


def test_what_only_a_person_can_mend_is_started_again_by_nobody() -> None:
    unit = text_of(DEPLOY / "elspeth.service")
    (prevented,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.M)
    assert {int(code) for code in prevented.split()} == FOR_PEOPLE
    job = yaml.safe_load(text_of(DEPLOY / "kubernetes-job.yaml"))["spec"]
    (rule,) = [rule for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert set(rule["onExitCodes"]["values"]) == FOR_PEOPLE
    page = text_of(DOCS / "reference" / "exit-codes.md")
    again = {int(code) for code, answer in re.findall(r"^\| (\d+) \|.*\| (\w+) \|$", page, re.M) if answer == "yes"}
    assert again == {errors.EXIT_FAILED, errors.EXIT_TEMPORARY}


def test_the_page_on_containers_and_the_compose_file_say_the_same_of_exit_codes() -> None:
    page = text_of(DOCS / "runbooks" / "container-deployment.md")
    rows = re.findall(r"^\| ([\d, ]+)(?: and other signals)? \| (yes|no) \|", page, re.M)
    said = {int(code): answer for codes, answer in rows for code in codes.split(",")}
    assert {code for code, answer in said.items() if answer == "yes"} == {
        errors.EXIT_FAILED,
        errors.EXIT_TEMPORARY,
        137,
    }
    assert said.keys() - {137} == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    compose = text_of(DEPLOY / "compose.yaml")
    for text in (page, compose):
        assert f"({min(FOR_PEOPLE)} to {max(FOR_PEOPLE)}" in text
    assert set(range(min(FOR_PEOPLE), max(FOR_PEOPLE) + 1)) == FOR_PEOPLE


def test_service_job_and_compose_file_give_the_same_command() -> None:
    (started,) = re.findall(r"^ExecStart=\S*/elspeth (.*)$", text_of(DEPLOY / "elspeth.service"), re.M)
    compose = yaml.safe_load(text_of(DEPLOY / "compose.yaml"))["services"]["elspeth"]
    (container,) = yaml.safe_load(text_of(DEPLOY / "kubernetes-job.yaml"))["spec"]["template"]["spec"]["containers"]
    assert container["image"] == compose["image"]
    assert [word.removeprefix("/app/") for word in container["args"]] == started.split()
    assert container["args"][: len(compose["command"])] == compose["command"]


def test_the_profile_with_postgresql_adds_a_server_and_nothing_to_who_does_not_ask_for_it() -> None:
    file = yaml.safe_load(text_of(DEPLOY / "compose.yaml"))
    services = file["services"]
    assert [name for name, service in services.items() if service.get("profiles") == ["postgres"]] == ["postgres"]
    assert "depends_on" not in services["elspeth"]
    page = text_of(DOCS / "runbooks" / "container-deployment.md")
    (block,) = [block.text for block in blocks(page) if block.language == "env"]
    given = dict(line.split("=", 1) for line in block.splitlines())
    assert place_of(given["ELSPETH_LANDSCAPE__URL"]) == place_of("postgresql://elspeth@postgres/audit")
    assert {"POSTGRES_USER=elspeth", "POSTGRES_DB=audit"} < set(services["postgres"]["environment"])
    handed = {line.partition("=")[0] for line in services["elspeth"]["environment"]}
    assert handed == {"ELSPETH_LANDSCAPE__URL", "PGPASSWORD"}
    assert set(file["volumes"]) == {"audit"}


def test_the_image_has_the_extras_for_services_and_for_postgresql() -> None:
    (installed,) = re.findall(r"pip .*install .*", text_of(ROOT / "Dockerfile"))
    assert '".[calls,postgres]"' in installed


@pytest.mark.parametrize("words", ["run --settings config/pipeline.yaml --execute --auto-resume --log-format json"])
def test_the_command_of_the_service_runs_a_pipeline(words: str, tmp_path: Path) -> None:
    assert words in text_of(DEPLOY / "elspeth.service")
    (tmp_path / "config").mkdir()
    scenes.threshold(tmp_path, rows=10)
    (tmp_path / "pipeline.yaml").rename(tmp_path / "config" / "pipeline.yaml")
    for _ in range(2):
        done = run(f"elspeth {words}", tmp_path)
        assert done.returncode == 0, done.stdout
