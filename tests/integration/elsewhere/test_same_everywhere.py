"""A run whose workers see nothing of its folder leaves what any other leaves, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.elsewhere.running import left_by, run
from tests.kit.processes.recorded_run import differences, query
from tests.kit.provider.server import FakeProvider

PLUGIN = '''\
"""Takes words from files: one beside this file, one by a path from the root, one from the working directory."""

import json
from pathlib import Path

from elspeth.plugins.contract import PluginOptions, RowError, Transform

BESIDE = Path(__file__).with_name("beside.json")


class WordsOptions(PluginOptions):
    whole: Path
    below: Path


class Words(Transform):
    name = "words"
    Options = WordsOptions

    def setup(self, ctx):
        self.words = json.loads(BESIDE.read_text())
        self.whole = ctx.file(self.options.whole).read_text()
        self.below = open(self.options.below).read()

    def reference_files(self):
        return (BESIDE, self.options.whole, self.options.below)

    def process(self, row, ctx):
        if row["id"] == 4:
            raise RowError(f"no word in {BESIDE}", file=str(self.options.whole))
        if row["id"] == 6:
            raise ValueError(f"{self.options.below} has none for it either: {type(self)}")
        return {**row, "word": self.words[row["id"] % 2], "whole": self.whole, "below": self.below}
'''


def table(path: Path, tag: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("key,name\n" + "".join(f"{key},{tag} {key}\n" for key in range(0, 30, 2)))
    return path


def lookup(name: str, path: str) -> dict[str, Any]:
    return {
        "name": name, "plugin": "lookup", "on_error": "bad",
        "options": {"path": path, "keys": {"key": "key"}, "fields": {"name": name}, "on_missing": "empty"},
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder that takes its files from itself, from beside it, from above, and through a link."""
    folder = tmp_path / "projects" / "run"
    folder.mkdir(parents=True)
    (folder / "input.csv").write_text("id,key,long\n" + "".join(f"{row},{row},{'x' * row}\n" for row in range(30)))
    table(folder / "tables" / "inner.csv", "inner")
    table(tmp_path / "shared" / "above.csv", "above")
    table(tmp_path / "whole" / "whole.csv", "whole")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "words.py").write_text(PLUGIN)
    (tmp_path / "plugins" / "beside.json").write_text('["even", "odd"]')
    (tmp_path / "whole" / "whole.txt").write_text("one")
    (folder / "below.txt").write_text("two")
    (folder / "linked").symlink_to(tmp_path / "plugins")
    return folder


def test_files_travel_by_any_path_and_everything_recorded_is_as_at_home(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    strict = lookup("strict", str(whole / "whole.csv"))
    strict["options"]["on_missing"] = "error"  # the reason names the file by its path
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({
        "plugins": ["linked/words.py"],
        "source": {"plugin": "csv", "options": {"path": "input.csv", "schema": {"mode": "free", "fields": ["id: int"]}},
                   "on_validation_failure": "discard"},
        "transforms": [
            lookup("inner", "tables/../tables/inner.csv"), lookup("above", "../../shared/above.csv"), strict,
            {"name": "words", "plugin": "words", "on_error": "bad",
             "options": {"whole": str(whole / "whole.txt"), "below": "below.txt"}},
        ],
        "sinks": {"out": {"plugin": "json", "options": {"path": "output/out.jsonl", "format": "jsonl"}},
                  "bad": {"plugin": "json", "options": {"path": "output/bad.jsonl", "format": "jsonl"}}},
        "default_sink": "out", "concurrency": {"max_workers": 2}, "payload_store": {"inline_limit_bytes": 60},
    }, sort_keys=False))  # fmt: skip
    here, there = left_by(folder, elsewhere=False), left_by(folder, elsewhere=True)
    assert there.outputs == here.outputs
    assert differences(there.records, here.records) == []
    assert there.payloads == here.payloads
    assert len(here.payloads) > 20
    refused = here.outputs["bad.jsonl"].decode()
    assert f"{whole}/whole.csv has no record for" in refused
    assert f"no word in {tmp_path}/plugins/beside.json" in refused
    assert "below.txt has none for it either" in refused
    assert "inner" in here.outputs["out.jsonl"].decode()


def test_prompts_travel_and_what_was_asked_and_answered_is_on_record_as_at_home(folder: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "ask.txt").write_text("About {{ row.id }}: {{ lookup.names[row.id % 2] }}?")
    (folder / "system.txt").write_text("Be brief.")
    (tmp_path / "shared" / "names.yaml").write_text("names: [zero, one]\n")
    left = {}
    for elsewhere in (False, True):
        with FakeProvider(faults={}) as provider:
            (folder / "pipeline.yaml").write_text(yaml.safe_dump({
                "source": {"plugin": "csv", "options": {"path": "input.csv", "schema": {
                    "mode": "free", "fields": ["id: int"]}}, "on_validation_failure": "discard"},
                "providers": {"main": {"kind": "openai", "base_url": provider.url, "api_key": "${KEY}"}},
                "transforms": [{
                    "name": "ask", "plugin": "llm", "pool_size": 4, "on_error": "bad", "options": {
                        "provider": "main", "model": "m", "prompt_file": str(prompts / "ask.txt"),
                        "system_file": "system.txt", "lookups": "../../shared/names.yaml"},
                }],
                "sinks": {"out": {"plugin": "csv", "options": {"path": "output/out.csv"}},
                          "bad": {"plugin": "json", "options": {"path": "output/bad.jsonl", "format": "jsonl"}}},
                "default_sink": "out", "concurrency": {"max_workers": 2},
            }, sort_keys=False))  # fmt: skip
            left[elsewhere] = left_by(folder, elsewhere=elsewhere, KEY="sk-never-shown-0123456789")
            assert sorted(asked.question for asked in provider.seen) == sorted(
                f"About {row}: {('zero', 'one')[row % 2]}?" for row in range(30)
            )
            assert provider.paid_twice() == []
    here, there = left[False], left[True]
    assert there.outputs == here.outputs
    assert there.calls == here.calls
    assert len(here.calls) == 30
    for each in (here, there):
        del each.records["calls"]  # they say at which port the service was, and when
    assert differences(there.records, here.records) == []
    assert there.payloads == here.payloads


LOOKING = """\
from pathlib import Path

from elspeth.plugins.contract import PluginOptions, RowError, Transform


class LookingOptions(PluginOptions):
    path: Path
    named: bool = False


class Looking(Transform):
    name = "looking"
    Options = LookingOptions

    def reference_files(self):
        return (self.options.path,) if self.options.named else ()

    def process(self, row, ctx):
        try:
            return {**row, "found": self.options.path.read_text()}
        except OSError as error:
            raise RowError("there is no such file") from error
"""

LOOKING_SETTINGS = """\
plugins: [looking.py]
source: {{plugin: csv, options: {{path: input.csv}}}}
transforms: [{{plugin: looking, on_error: bad, options: {{path: "{path}", named: {named}}}}}]
sinks:
  out: {{plugin: csv, options: {{path: output/out.csv}}}}
  bad: {{plugin: csv, options: {{path: output/bad.csv}}}}
default_sink: out
concurrency: {{max_workers: 1}}
"""


@pytest.mark.parametrize(
    ("path", "named", "words"),
    [
        ("below.txt", "false", "looks for the file below.txt, which is not on the machine of its worker"),
        ("{whole}", "true", "opens {whole} itself, on a machine where that is another file or none"),
    ],
    ids=["not named", "named, opened by its whole path"],
)
def test_no_row_is_blamed_for_a_file_that_did_not_come_along(
    folder: Path, tmp_path: Path, path: str, named: str, words: str
) -> None:
    whole = str(tmp_path / "whole" / "whole.txt")
    (folder / "looking.py").write_text(LOOKING)
    (folder / "pipeline.yaml").write_text(LOOKING_SETTINGS.format(path=path.format(whole=whole), named=named))
    done = run(folder, elsewhere=True)
    assert done.returncode != 0
    assert words.format(whole=whole) in done.stderr
    assert "Traceback" not in done.stderr
    assert query(folder / "runs" / "audit.db", "SELECT count(*) FROM token_outcomes") == [(0,)]
    assert run(folder, "resume", "latest", elsewhere=False).returncode == 0
    assert len((folder / "output" / "out.csv").read_text().splitlines()) == 31
