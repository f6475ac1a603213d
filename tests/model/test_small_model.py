"""A real model, served on this machine, labels tickets: its answers are on record, used once, and can be replayed."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.model.small import small_model
from tests.kit.processes.running import elspeth, killed_before_its_end

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is missing, which brings what runs the model"),
]

TEXTS = ["The parcel came broken.", "Thank you, all is well.", "Nobody answers the phone!", "I love the new colours."]
LABELS = ["complaint", "praise"]
SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": LABELS}, "urgent": {"type": "boolean"}},
    "required": ["label", "urgent"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with small_model(tmp_path_factory.mktemp("model")) as found:
        yield found


def lay(folder: Path, url: str, rows: int, **options: Any) -> None:
    lines = [f"{number},{TEXTS[number % len(TEXTS)]}" for number in range(rows)]
    (folder / "in.csv").write_text("\n".join(["id,text", *(line.replace(",", ',"', 1) + '"' for line in lines), ""]))
    asked = {
        "provider": "small", "model": "smollm2", "system": "You label texts of customers.",
        "prompt_template": "What is this text? {{ row.text }}", "parameters": {"temperature": 0, "max_tokens": 60},
        "response": {"format": "json_schema", "schema": SCHEMA},
    }  # fmt: skip
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({
        "source": {"plugin": "csv", "options": {"path": "in.csv"}},
        "providers": {"small": {"kind": "openai", "base_url": url}},
        "transforms": [{"name": "label", "plugin": "llm", "pool_size": 2, "options": {**asked, **options}}],
        "sinks": {"out": {"plugin": "csv", "options": {"path": "out.csv"}}},
        "default_sink": "out", "checkpoint": {"frequency": "every_row"},
    }, sort_keys=False))  # fmt: skip


def written(folder: Path) -> list[dict[str, str]]:
    with (folder / "out.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_answers_fit_the_schema_are_on_record_and_can_be_replayed(url: str, tmp_path: Path) -> None:
    lay(tmp_path, url, 4)
    done = elspeth("run", "pipeline.yaml", "--execute", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = written(tmp_path)
    assert [row["text"] for row in rows] == TEXTS
    assert {row["label"] for row in rows} <= set(LABELS)
    assert {row["urgent"] for row in rows} <= {"True", "False"}
    with closing(sqlite3.connect(tmp_path / "runs" / "audit.db")) as database:
        texts = database.execute("SELECT response_data FROM calls ORDER BY call_id").fetchall()
    recorded = [json.loads(json.loads(text)["text"])["label"] for (text,) in texts]
    assert sorted(recorded) == sorted(row["label"] for row in rows)
    told = elspeth("explain", "--run", "latest", "--row", "0", cwd=tmp_path).stdout
    assert "The parcel came broken." in told
    replayed = elspeth("replay", "latest", cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_what_was_answered_before_a_kill_is_not_asked_again(url: str, tmp_path: Path) -> None:
    lay(tmp_path, url, 12)
    killed_before_its_end(tmp_path, "run", "pipeline.yaml", "--execute")
    done = elspeth("resume", "latest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in written(tmp_path)] == [str(number) for number in range(12)]
    known = "SELECT count(*), count(DISTINCT state_id) FROM calls WHERE status != 'unknown'"
    with closing(sqlite3.connect(tmp_path / "runs" / "audit.db")) as database:
        [(answered, states)] = database.execute(known)
    assert answered == states == 12
    assert elspeth("verify", "latest", cwd=tmp_path).returncode == 0
