"""The password of an audit database on a server: however it is given, it is written down nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.kit.pipelines.trial import lay, settings
from tests.kit.postgres.databases import Database
from tests.kit.postgres.runs import VARIABLE, OnServer
from tests.kit.processes.tree import Tree, title_of
from tests.kit.processes.waiting import wait_until

ROWS = 100


def given(how: str, here: OnServer) -> list[str]:
    """Arrange that the database is found in this way; answers the words that a command needs for it."""
    database, folder = here.database, here.folder
    secret = f"{database.role}-secret"
    without = database.url.replace(f":{secret}@", "@")
    del here.environ[VARIABLE]
    match how:
        case "a URL of the command":
            here.environ["ELSPETH_ALLOW_RAW_SECRETS"] = "true"
            return ["--database", database.url]
        case "a variable in a URL of the command":
            here.environ["AUDIT_PASSWORD"] = secret
            return ["--database", database.url.replace(secret, "${AUDIT_PASSWORD}")]
        case "a URL of the environment":
            here.environ[VARIABLE] = database.url
        case "a variable in the settings":
            value = yaml.safe_load((folder / "pipeline.yaml").read_text())
            value["landscape"] = {"url": database.url.replace(secret, "${AUDIT_PASSWORD}")}
            (folder / "pipeline.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
            here.environ["AUDIT_PASSWORD"] = secret
        case "a file of passwords":
            file = folder.with_name("passwords")
            file.write_text(f"127.0.0.1:{database.server.port}:{database.name}:{database.role}:{secret}\n")
            file.chmod(0o600)
            here.environ |= {"PGPASSFILE": str(file), VARIABLE: without}
        case "a file of services":
            file = folder.with_name("services")
            lines = {"host": "127.0.0.1", "port": database.server.port, "dbname": database.name,
                     "user": database.role, "password": secret}  # fmt: skip
            file.write_text("[audit]\n" + "".join(f"{name}={value}\n" for name, value in lines.items()))
            here.environ |= {
                "PGSERVICEFILE": str(file),
                VARIABLE: f"postgresql:///?service=audit&schema={database.schema}",
            }
    return []


HOW = (
    "a URL of the command", "a variable in a URL of the command", "a URL of the environment",
    "a variable in the settings", "a file of passwords", "a file of services",
)  # fmt: skip


@pytest.mark.parametrize("how", HOW)
def test_a_password_is_written_down_nowhere(postgres: Database, tmp_path: Path, how: str) -> None:
    folder = lay(
        tmp_path / "run", ROWS, settings(delay=0.02, poison_attempts=1000) | {"landscape": {"dump_to_jsonl": True}}
    )
    here = OnServer(postgres, folder)
    if how == "a variable in the settings":
        value = yaml.safe_load((folder / "pipeline.yaml").read_text())
        value.pop("landscape")
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    words = given(how, here)
    secret = f"{postgres.role}-secret"
    said = []
    with here.run(*words) as tree:
        wait_until(lambda: not tree.running or here.committed() > 20, "rows were committed")
        assert tree.running, tree.log
        titles = [title_of(tree.pid), *map(title_of, tree.children().values())]
        assert not [title for title in titles if secret in title]
        tree.strike("main")
        tree.wait()
        said.append(tree.log)
    resumed = ["--database", postgres.url] if how == "a variable in the settings" else words
    for command in (
        ["doctor"], ["run", "--settings", "pipeline.yaml", "--execute"], ["resume", "latest"],
        *([["doctor", "--fix"], ["runs", "--json"], ["status", "latest", "--json"], ["health"],
           ["run", "--settings", "pipeline.yaml", "--verbose"], ["export", "latest", "-o", "evidence"],
           ["report", "latest", "-o", "report.html", "--verify"]] if how == HOW[0] else []),
    ):  # fmt: skip
        more = words if command[0] == "run" else resumed
        with Tree(folder, *command, *more, environ=here.environ) as tree:
            code = tree.wait()
            assert code == {"doctor": 1}.get(" ".join(command), 3 if "--execute" in command else 0), tree.log
            said.append(tree.log)
    assert not [log for log in said if secret in log]
    for file in filter(Path.is_file, folder.rglob("*")):
        assert secret.encode() not in file.read_bytes(), file
    tables = postgres.ask("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", postgres.schema)
    assert len(tables) > 10
    for (table,) in tables:
        assert postgres.ask(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", f"%{secret}%") == [(0,)], table
    assert "postgresql://" in postgres.ask("SELECT settings_json FROM runs")[0][0] or how.startswith("a URL")
    assert os.environ.get("PGPASSWORD") is None
