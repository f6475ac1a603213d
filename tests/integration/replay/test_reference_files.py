"""A replay reads reference files as the run read them, whatever has become of them since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.runs.lifecycle.reference_files import LARGEST
from tests.integration.replay.test_same import RUN, replayed
from tests.kit.processes.recorded_run import query
from tests.kit.processes.running import PAUSING_PIPELINE, begin, elspeth, pausing, wait_until
from tests.kit.processes.tree import DATABASE
from tests.kit.provider.server import FakeProvider

PEOPLE = "number,name\n0,Zoë\n1,Ann\n2,Bob\n4,Dee\n"
OTHERS = "number,name\n0,Zoe\n1,Ann\n2,Rob\n3,Cem\n4,Dee\n"
PROMPT = "Who is {{ row.name }}, {{ lookup.words.please }}?"

CHANGES: dict[str, Callable[[Path], object]] = {
    "changed": lambda path: path.write_text("number,name\n0,x\n" if path.suffix == ".csv" else "please: now\n"),
    "gone": Path.unlink,
}

OF_ONE_S_OWN = """
from pathlib import Path
from elspeth.plugins.contract import PluginOptions, RowError, Transform

class Options(PluginOptions):
    path: Path
    beside: str = ""

class Words(Transform):
    name = "words"
    Options = Options

    def reference_files(self):
        return (self.options.path, *([self.options.path.with_name(self.options.beside)] if self.options.beside else ()))

    def process(self, row, ctx):
        with self.reference_files()[-1].open() as file:
            words = file.read(6).split()
        if str(row["id"]) not in words:
            raise RowError(f"{self.options.path} does not hold {row['id']}")
        return row
"""


def lay(folder: Path, *transforms: dict[str, Any], **more: Any) -> Path:
    (folder / "in.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(5)))
    (folder / "people.csv").write_text(PEOPLE)
    sinks = {
        name: {"plugin": "json", "options": {"path": f"{name}.jsonl", "format": "jsonl"}} for name in ("out", "bad")
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({
        "source": {"plugin": "csv", "options": {"path": "in.csv", "schema": {"mode": "fixed", "fields": ["id: int"]}}},
        "transforms": list(transforms) or [find()], "sinks": sinks, "default_sink": "out", **more,
    }, sort_keys=False))  # fmt: skip
    return folder


def find(**options: Any) -> dict[str, Any]:
    given = {"path": "people.csv", "keys": {"id": "number"}, "fields": {"name": "name"}, **options}
    return {"name": "find", "plugin": "lookup", "on_error": "bad", "options": given}


def ran(folder: Path, **variables: str) -> Path:
    done = elspeth(*RUN, cwd=folder, **variables)
    assert done.returncode in (0, 10), done.stderr
    return folder


def kept(folder: Path, attempt: int = 1) -> dict[str, Any]:
    event = f"%!{attempt:04d}.references"
    ((detail,),) = query(folder / DATABASE, f"SELECT detail FROM supervision_events WHERE event_id LIKE '{event}'")
    found: dict[str, Any] = json.loads(detail)
    return found


def payload(folder: Path, path: str) -> Path:
    digest = kept(folder)[path]["sha256"]
    return folder / "state/payloads" / digest[:2] / digest[2:]


def test_a_run_keeps_what_it_read_by_its_hash(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    data = PEOPLE.encode()
    assert kept(folder) == {"people.csv": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "kept": True}}
    assert payload(folder, "people.csv").read_bytes() == data
    assert payload(folder, "people.csv").stat().st_mode & 0o77 == 0
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    assert replayed(folder)["notes"] == []


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("way", CHANGES)
def test_a_table_that_was_replaced_or_is_gone_is_read_as_it_was(way: str, absolute: bool, tmp_path: Path) -> None:
    path = str(tmp_path / "people.csv") if absolute else "./people.csv"
    folder = ran(lay(tmp_path, find(path=path)))
    assert (folder / "bad.jsonl").read_text()  # a reason names the file: the copy that is read has another name
    CHANGES[way](folder / "people.csv")
    found = replayed(folder)
    assert (found["same"], found["rows_that_differ"], found["rows"]) == (True, 0, 5)
    (note,) = found["notes"]
    what = "changed since" if way == "changed" else "is gone"
    assert note.endswith(f"people.csv {what}: the content that the run read is taken from the payload store")


@pytest.mark.parametrize("way", CHANGES)
def test_a_prompt_and_its_tables_are_read_as_they_were(way: str, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text(PROMPT)
    (tmp_path / "words.yaml").write_text("please: please\n")
    with FakeProvider(answer=lambda asked: "yes") as provider:
        ask = {"name": "ask", "plugin": "llm", "options": {
            "provider": "main", "model": "m", "prompt_file": "prompt.txt", "lookups": {"words": "words.yaml"},
            "output": {"field": "answer"}}}  # fmt: skip
        account = {"main": {"kind": "openai", "base_url": provider.url, "api_key": "${CALLS_API_KEY}"}}
        folder = ran(lay(tmp_path, find(on_missing="empty"), ask, providers=account), CALLS_API_KEY="k")
    for name in ("prompt.txt", "words.yaml", "people.csv"):
        CHANGES[way](folder / name)
    found = replayed(folder)
    assert (found["same"], found["answers_from_record"], found["asked_anew"]["calls"]) == (True, 5, 0)
    assert len(found["notes"]) == 3
    if way == "changed":  # with other settings, files are what these name now
        settings = folder / "other.yaml"
        settings.write_text((folder / "pipeline.yaml").read_text())
        assert replayed(folder, "--settings", "other.yaml", code=1)["asked_anew"]["calls"] == 5


def test_a_file_in_an_encoding_of_its_own_is_kept_exported_and_verified(tmp_path: Path) -> None:
    folder = lay(tmp_path, find(encoding="latin-1"))
    (folder / "people.csv").write_bytes(PEOPLE.encode("latin-1"))
    ran(folder)
    assert elspeth("export", "latest", "-o", "evidence", cwd=folder).returncode == 0
    done = elspeth("verify", "evidence", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (folder / "evidence" / "payloads.jsonl").read_text()
    assert kept(folder)["people.csv"]["sha256"] in lines
    (folder / "evidence" / "payloads.jsonl").write_text(lines.replace('"base64":"b', '"base64":"c'))
    assert "payload" in elspeth("verify", "evidence", cwd=folder).stdout
    (folder / "people.csv").unlink()
    assert replayed(folder)["same"]


def test_what_is_no_longer_kept_is_said(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    payload(folder, "people.csv").unlink()
    done = elspeth("verify", "latest", cwd=folder)
    assert done.returncode == 1
    assert "it is not in the payload store" in done.stdout
    assert replayed(folder)["same"]  # the file itself is as it was
    (folder / "people.csv").write_text(OTHERS)
    found = replayed(folder, code=1)
    assert any("no longer in the payload store" in note and "read as it is now" in note for note in found["notes"])
    (folder / "people.csv").unlink()
    refused = elspeth("replay", "latest", cwd=folder)
    assert refused.returncode == 1
    assert "the reference file people.csv is gone, and what was kept of it is no longer in the" in refused.stderr


def test_a_file_that_is_too_large_is_on_record_by_its_hash_alone(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(OF_ONE_S_OWN)
    step = {"name": "words", "plugin": "words", "on_error": "bad", "options": {"path": "people.csv"}}
    folder = lay(tmp_path, step, plugins=["words.py"])
    (folder / "people.csv").write_text("1 2 3 ")
    os.truncate(folder / "people.csv", LARGEST + 1)
    size = (folder / "people.csv").stat().st_size
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode in (0, 10)
    assert f"people.csv holds {size:,} bytes: its hash is on record, not its content" in done.stderr
    found = kept(folder)["people.csv"]
    assert (found["size"], found["kept"]) == (size, False)
    assert found["sha256"] == hashlib.sha256((folder / "people.csv").read_bytes()).hexdigest()
    assert not (folder / "state/payloads").exists()
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    (folder / "people.csv").write_text("1 2 3 ")
    assert any("no content is kept (more than 67,108,864)" in note for note in replayed(folder)["notes"])
    (folder / "people.csv").unlink()
    refused = elspeth("replay", "latest", cwd=folder)
    assert refused.returncode == 1
    assert "is gone, and of 67,108,865 bytes no content is kept" in refused.stderr


def test_a_purge_forgets_it_unless_another_run_needs_it_and_a_replay_says_so(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    file = payload(folder, "people.csv")
    ran(folder)
    first, second = (run for (run,) in query(folder / DATABASE, "SELECT run_id FROM runs ORDER BY started_at"))
    assert elspeth("purge", "--run", first, "--yes", cwd=folder).returncode == 0
    assert file.exists()
    assert replayed(folder, reference=second)["same"]
    assert elspeth("purge", "--run", second, "--yes", cwd=folder).returncode == 0
    assert not file.exists()
    for run in (first, second):
        refused = elspeth("replay", run, cwd=folder)
        assert refused.returncode == 1
        assert "the bodies of its rows and the content of its reference files were forgotten" in refused.stderr
        done = elspeth("verify", run, cwd=folder)
        assert done.returncode == 0, done.stdout


def test_it_is_gone_with_all_records_of_a_run_too(tmp_path: Path) -> None:
    folder = ran(lay(tmp_path))
    file = payload(folder, "people.csv")
    assert elspeth("purge", "--run", "latest", "--whole", "--yes", cwd=folder).returncode == 0
    assert not file.exists()
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    assert "its records were removed" in elspeth("replay", "latest", cwd=folder).stderr


def test_a_plugin_of_one_s_own_reads_the_copy_as_long_as_its_options_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(OF_ONE_S_OWN)
    for name in ("words.txt", "more.txt"):
        (tmp_path / name).write_text("1 2 3")
    step = {"name": "words", "plugin": "words", "on_error": "bad", "options": {"path": "words.txt"}}
    folder = ran(lay(tmp_path, step, plugins=["words.py"]))
    (folder / "words.txt").write_text("4")
    assert replayed(folder)["same"]
    step["options"] = {"path": "words.txt", "beside": "more.txt"}
    ran(lay(tmp_path, step, plugins=["words.py"]))
    (folder / "more.txt").write_text("4")
    found = replayed(folder, code=1)
    assert any("the options of words do not name it by its path" in note for note in found["notes"])
    (folder / "more.txt").unlink()
    assert "the options of words do not name it by its path" in elspeth("replay", "latest", cwd=folder).stderr


POINTS = ("main.after_lock", "payloads.after_put", "payloads.before_named", "payloads.before_names",
          "payloads.after_names", "audit.before_begin", "audit.after_begin")  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_whatever_dies_at_the_beginning_what_is_on_record_is_kept(point: str, tmp_path: Path) -> None:
    folder = lay(tmp_path)
    done = elspeth(*RUN, cwd=folder, CRASH_POINT=f"{point}:1:{folder / 'mark'}")
    assert (folder / "mark").exists()
    begun = (folder / DATABASE).exists() and query(folder / DATABASE, "SELECT count(*) FROM run_attempts") != [(0,)]
    if begun and done.returncode not in (0, 10):
        done = elspeth("resume", "latest", cwd=folder)
    elif not begun:
        done = elspeth(*RUN, cwd=folder)
    assert done.returncode in (0, 10), done.stderr
    assert payload(folder, "people.csv").read_text() == PEOPLE
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    (folder / "people.csv").unlink()
    assert replayed(folder)["same"]


def test_a_resume_keeps_what_it_finds_and_a_replay_says_that_there_were_two(tmp_path: Path) -> None:
    pausing(tmp_path, 50)
    step = "  - {name: find, plugin: lookup, options: {path: people.csv, keys: {id: number}, fields: {name: name}}}\n"
    text = PAUSING_PIPELINE.replace("transforms:\n", "transforms:\n" + step)
    (tmp_path / "pipeline.yaml").write_text(text + "checkpoint: {frequency: every_row}\n")
    people = "number,name\n" + "".join(f"{number},n{number}\n" for number in range(50))
    (tmp_path / "people.csv").write_text(people)
    process = begin(*RUN, cwd=tmp_path)
    wait_until(lambda: (tmp_path / "reached").exists(), process)
    process.kill()
    process.communicate()
    (tmp_path / "go").touch()
    (tmp_path / "people.csv").write_text(people.replace("n49", "other"))
    assert elspeth("resume", "latest", "--accept-changed-code", cwd=tmp_path).returncode == 0
    assert kept(tmp_path, 1) != kept(tmp_path, 2)
    (tmp_path / "people.csv").unlink()
    done = elspeth("replay", "latest", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "people.csv was another file in an earlier attempt" in done.stdout
