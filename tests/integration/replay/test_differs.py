"""What a replay says where something comes out otherwise, cannot be known, or is not to be had."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.replay.test_same import RUN, replayed
from tests.kit.fixtures.tampering import tampering
from tests.kit.fixtures.unpack import unpack
from tests.kit.processes.recorded_run import query
from tests.kit.processes.running import EXAMPLES, elspeth
from tests.kit.processes.tree import DATABASE
from tests.kit.provider.server import FakeProvider

ROUTES = {"true": "big", "false": "continue"}

PLUGIN = """
from elspeth.plugins.contract import PluginOptions, Transform, TransientError

class Label(Transform):
    name = "label"
    Options = PluginOptions

    def process(self, row, ctx):
        return {**row, "label": "big" if row["n"] > 5 else "small"}
"""


def lay(folder: Path, plugin: str = PLUGIN, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "label.py").write_text(plugin)
    (folder / "in.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(10)))
    write(folder, "pipeline.yaml", **more)
    return folder


def write(folder: Path, name: str, **more: Any) -> None:
    (folder / name).write_text(yaml.safe_dump({
        "plugins": ["label.py"],
        "source": {"plugin": "csv", "options": {"path": "in.csv", "schema": {"mode": "fixed", "fields": ["n: int"]}}},
        "transforms": [{"name": "labels", "plugin": "label", "on_error": "bad"}],
        "gates": [{"name": "size", "condition": "row['label'] == 'big'", "routes": ROUTES}],
        "sinks": {name: {"plugin": "json", "options": {"path": f"{name}.jsonl", "format": "jsonl"}}
                  for name in ("out", "big", "bad")},
        "default_sink": "out", **more,
    }, sort_keys=False))  # fmt: skip


def ran(folder: Path) -> Path:
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode in (0, 10), done.stderr
    return folder


def told(folder: Path, *words: str, code: int, **variables: str) -> str:
    done = elspeth("replay", "latest", *words, cwd=folder, **variables)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


# -- the same settings ----------------------------------------------------------------------------------------------


def test_a_plugin_that_was_broken_is_found_with_row_node_and_field(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    assert replayed(folder)["same"]
    (folder / "label.py").write_text(PLUGIN.replace("> 5", "> 7"))
    found = replayed(folder, code=1)
    assert (found["same"], found["rows_that_differ"]) == (False, 2)
    assert [(each["row"], each["line"], each["node"], each["what"], each["field"], each["on_record"], each["replayed"])
            for each in found["differences"]] == [
        (6, 8, "labels", "field", "label", "big", "small"), (7, 9, "labels", "field", "label", "big", "small"),
    ]  # fmt: skip
    assert any("plugin code changed" in note for note in found["notes"])
    words = told(folder, code=1)
    assert "row 6 (line 8), at labels: field label: big on record, small now" in words
    assert "Differs: 2 of 10 rows" in words
    assert "elspeth explain --run" in words


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ("        raise ValueError('no')\n", "status"),
        ("        return [row]\n", "field"),
        ("        return {'label': 'small', 'n': 1}\n", "field"),
    ],
)
def test_whatever_a_plugin_does_otherwise_is_found(broken: str, what: str, tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    (folder / "label.py").write_text(PLUGIN.partition("        return")[0] + broken)
    found = replayed(folder, code=1)
    assert found["rows_that_differ"] >= 9
    assert {each["what"] for each in found["differences"]} <= {what, "token"}


def test_another_reason_for_a_refusal_is_a_difference_of_its_own(tmp_path: Path) -> None:
    refusing = PLUGIN.partition("        return")[0] + "        raise ValueError('no')\n"
    folder = ran(lay(tmp_path, refusing))
    (folder / "label.py").write_text(refusing.replace("'no'", "'never'"))
    (first, *rest) = replayed(folder, code=1)["differences"]
    assert len(rest) == 9
    assert (first["what"], first["on_record"], first["replayed"]) == ("reason", "ValueError: no", "ValueError: never")


def test_a_record_that_was_changed_by_hand_is_found(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    with tampering(folder / DATABASE) as database:
        database.execute("UPDATE token_outcomes SET sink_name = 'out' WHERE token_id LIKE '%7'")
    (difference,) = replayed(folder, code=1)["differences"]
    assert (difference["row"], difference["what"]) == (7, "outcome")
    assert (difference["on_record"], difference["replayed"]) == ("routed, to out", "routed, to big")


def test_outputs_in_another_order_are_found(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    with tampering(folder / DATABASE) as database:
        database.execute("UPDATE token_outcomes SET sink_row = 7 - sink_row WHERE sink_name = 'out'")
    (difference,) = replayed(folder, code=1)["differences"]
    assert (difference["what"], difference["node"]) == ("order", "out")


def test_a_lookup_that_changed_since_is_said(tmp_path: Path) -> None:
    step = EXAMPLES / "tickets" / "pipeline.yaml"
    folder = tmp_path / "tickets"
    shutil.copytree(step.parent, folder, ignore=shutil.ignore_patterns("output", "runs", "state"))
    ran(folder)
    table = folder / "customers.csv"
    table.write_text(table.read_text() + "\n")
    (note,) = replayed(folder)["notes"]
    assert note == "customers.csv changed since: the content that the run read is taken from the payload store"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line.rsplit(",", 1)[0] + ",other" for line in lines[1:] if line)]) + "\n")
    assert replayed(folder)["notes"] == [note]
    found = replayed(
        folder, "--settings", "pipeline.yaml", code=1
    )  # with settings that are given, files are as they are
    assert {each["what"] for each in found["differences"]} <= {"field", "status"}


# -- other settings -------------------------------------------------------------------------------------------------


def test_new_settings_that_change_nothing(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    write(folder, "new.yaml", gates=[{"name": "size", "condition": "row['n'] > 5",
                                      "routes": {"true": "big", "false": "continue"}}])  # fmt: skip
    found = replayed(folder, "--settings", "new.yaml")
    assert (found["same"], found["rows_that_differ"], found["rows"]) == (True, 0, 10)
    assert "would decide all of it as it was decided" in told(folder, "--settings", "new.yaml", code=0)


def test_new_settings_say_which_rows_would_go_elsewhere(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    write(folder, "new.yaml", gates=[{"name": "size", "condition": "row['n'] > 3",
                                      "routes": {"true": "big", "false": "continue"}}])  # fmt: skip
    found = replayed(folder, "--settings", "new.yaml", code=1)
    assert [each["row"] for each in found["differences"]] == [4, 5]
    assert {each["node"] for each in found["differences"]} == {"size"}
    assert "Would change: 2 of 10 rows" in told(folder, "--settings", "new.yaml", code=1)


def test_a_step_that_was_added_shows_in_what_would_be_written(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    double = {"name": "double", "plugin": "value_transform",
              "options": {"operations": [{"target": "n", "expression": "row['n'] * 2"}]}}  # fmt: skip
    write(folder, "new.yaml", transforms=[{"name": "labels", "plugin": "label", "on_error": "bad"}, double])
    found = replayed(folder, "--settings", "new.yaml", code=1)
    assert found["rows_that_differ"] == 9  # 2 x 0 is 0
    assert {(each["what"], each["field"]) for each in found["differences"]} == {("field", "n")}


# -- calls ----------------------------------------------------------------------------------------------------------


def asking(url: str, **options: Any) -> dict[str, Any]:
    return {
        "providers": {"main": {"kind": "openai", "base_url": url, "api_key": "${CALLS_API_KEY}"}},
        "transforms": [{"name": "labels", "plugin": "llm", "pool_size": 4, "on_error": "bad", "options": {
            "provider": "main", "model": "m", "prompt_template": "size of {{ row.n }}",
            "output": {"fields": None, "raw": None, "field": "label"}, **options}}],
    }  # fmt: skip


def answer(asked: Any) -> str:
    return "big" if int(asked.question.rsplit(" ", 1)[-1]) > 5 else "small"


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    """A run that asked a service, which is gone, and the key with it."""

    def run(**options: Any) -> tuple[Path, FakeProvider]:
        faults = {"size of 3": ["429"], "size of 4": ["400"], "size of 5": ["drop"]}
        with FakeProvider(answer=answer, faults=faults) as provider:
            steps = asking(provider.url, **options)
            steps["transforms"][0]["options"].pop("output")
            steps["transforms"][0]["options"]["response_field"] = "label"
            folder = lay(tmp_path / "asked", **steps)
            done = elspeth(*RUN, cwd=folder, CALLS_API_KEY="sk-a-key-of-the-test")
            assert done.returncode in (0, 10), done.stderr
        return folder, provider

    return run


def test_answers_are_taken_from_the_record_without_service_or_key(asked: Any) -> None:
    folder, provider = asked()
    seen = len(provider.seen)
    found = replayed(folder)
    assert (found["same"], found["answers_from_record"], found["asked_anew"]["calls"]) == (True, 10, 0)
    assert len(provider.seen) == seen


def test_a_new_prompt_would_be_asked_anew_and_is_not_asked(asked: Any) -> None:
    folder, _ = asked()
    settings = yaml.safe_load((folder / "pipeline.yaml").read_text())
    settings["transforms"][0]["options"]["prompt_template"] = "how large is {{ row.n }}"
    with FakeProvider(answer=answer) as other:
        settings["providers"]["main"]["base_url"] = other.url
        (folder / "new.yaml").write_text(yaml.safe_dump(settings))
        found = replayed(folder, "--settings", "new.yaml", code=1)
        words = told(folder, "--settings", "new.yaml", code=1)
        assert other.seen == []
    assert found["asked_anew"] == {
        "calls": 10, "by_node": [{"node": "labels", "provider": "main", "calls": 10}], "rows": list(range(10)),
    }  # fmt: skip
    assert found["rows_that_differ"] == 0
    assert not found["same"]
    assert "Would be asked anew: 10 calls for 10 rows; nothing was asked" in words


def test_another_gate_behind_answers_on_record_costs_nothing(asked: Any) -> None:
    folder, _ = asked()
    settings = yaml.safe_load((folder / "pipeline.yaml").read_text())
    settings["gates"][0]["condition"] = "row['label'] == 'big' and row['n'] > 7"
    (folder / "new.yaml").write_text(yaml.safe_dump(settings))
    found = replayed(folder, "--settings", "new.yaml", code=1)
    assert [each["row"] for each in found["differences"]] == [6, 7]
    assert found["asked_anew"]["calls"] == 0


@pytest.mark.parametrize("record", ["hash", "redact"])
def test_answers_that_were_not_kept_are_said_to_be_taken_as_recorded(record: str, asked: Any) -> None:
    folder, _ = asked(record=record)
    found = replayed(folder)
    assert found["same"]
    assert found["answers_not_kept"] == {"labels": 10}
    assert "keeps no answers" in told(folder, code=0)


OWN = """
from elspeth.plugins.contract import PluginOptions, Transform, TransientError
import pathlib

class Label(Transform):
    name = "label"
    determinism = "nondeterministic"
    Options = PluginOptions

    def process(self, row, ctx):
        def ask():
            with open("asked.txt", "a") as file:
                file.write("asked\\n")
            if row["n"] == 3 and ctx.attempt == 1:
                raise TransientError("busy")
            if row["n"] == 4:
                raise KeyError("odd")
            return "big" if row["n"] > 5 else "small"
        return {**row, "label": %s}
"""


def test_a_client_of_a_plugins_own_is_not_asked_again_and_raises_what_it_raised(tmp_path: Path) -> None:
    retry = {"max_attempts": 2, "initial_delay_seconds": 0.01}
    folder = ran(lay(tmp_path, OWN % "ctx.recorded('size', row['n'], ask)", retry=retry))
    asked = (folder / "asked.txt").read_text()
    found = replayed(folder)
    assert (found["same"], found["answers_from_record"]) == (True, 11)
    assert (folder / "asked.txt").read_text() == asked


def test_what_asks_past_the_record_is_not_called_but_taken_as_recorded(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path, OWN % "ask()", retry={"max_attempts": 2, "initial_delay_seconds": 0.01}))
    asked = (folder / "asked.txt").read_text()
    found = replayed(folder)
    assert found["same"]
    assert found["taken_as_recorded"] == {"labels": 10}
    assert (folder / "asked.txt").read_text() == asked
    assert "labels is not deterministic" in told(folder, code=0)


# -- what is not to be had ------------------------------------------------------------------------------------------


def test_a_purged_run_is_refused_with_a_sentence(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    assert elspeth("purge", "--run", "latest", "--yes", cwd=folder).returncode == 0
    words = told(folder, code=1)
    assert "cannot be replayed: the bodies of its rows were forgotten by purge" in words
    kept = unpack("purged", tmp_path / "kept")
    assert "cannot be replayed: its records were removed" in told(kept, code=1)


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("UPDATE runs SET status = 'running', completed_at = NULL")
    assert "has not ended" in told(folder, code=3)


def test_an_interrupted_run_is_replayed_as_far_as_it_came(tmp_path: Path) -> None:
    folder = unpack("interrupted", tmp_path / "kept")
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.execute("PRAGMA journal_mode = DELETE")  # one file: a reader of the other mode leaves an empty second
        database.execute("UPDATE runs SET status = 'interrupted'")
        database.commit()
    found = replayed(folder, "--working-directory", ".")
    assert found["same"], found
    assert 0 < found["rows"] == query(folder / DATABASE, "SELECT count(*) FROM rows")[0][0]


def test_large_rows_are_read_from_the_payload_store_and_missing_ones_are_named(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path, payload_store={"inline_limit_bytes": 4}))
    assert replayed(folder)["same"]
    (reference,) = query(folder / DATABASE, "SELECT source_data_ref FROM rows ORDER BY row_id LIMIT 1")[0]
    (folder / "state" / "payloads" / reference[:2] / reference[2:]).unlink()
    assert "the data of row 0 is not there" in told(folder, code=1)


def test_a_file_or_a_wrong_id_in_place_of_a_run(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    assert elspeth("replay", "nonesuch", cwd=folder).returncode == 4
    assert elspeth("replay", "pipeline.yaml", cwd=folder).returncode == 2
    done = elspeth("replay", "latest", "--settings", "none.yaml", "--json", cwd=folder)
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2
