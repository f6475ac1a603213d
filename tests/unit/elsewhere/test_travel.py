"""What is packed for workers on other machines, and what they are not told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
import yaml

from actors.spec import ChildSpec
from elspeth.errors import SettingsError
from elspeth.plugins import registry
from elspeth.roles.flush_mark import Flushes
from elspeth.roles.plan import Plan, decode_plan
from elspeth.runs.lifecycle import driver, likeness
from elspeth.runs.lifecycle.drive import plan_of
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.runs.lifecycle.reference_files import keep
from elspeth.runs.lifecycle.travel import pack

PLUGIN = """\
from elspeth.plugins.contract import Transform


class Mine(Transform):
    name = "mine_{name}"

    def process(self, row, ctx):
        return row
"""

SPEC = ChildSpec("worker-1", "elspeth.roles.worker:WorkerRole")


@pytest.fixture(autouse=True)
def _alone() -> object:
    with registry.apart():
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    (folder / "tables").mkdir(parents=True)
    (folder / "in.csv").write_text("id,key\n1,a\n")
    for path in (folder / "tables" / "one.csv", tmp_path / "same.csv", folder / "later.csv"):
        path.write_text(f"key,name\na,{'later' if path.stem == 'later' else 'b'}\n")
    (folder / "mine.py").write_text(PLUGIN.format(name=folder.parent.name.replace("-", "_")))
    monkeypatch.chdir(folder)
    return folder


def lookup(path: str) -> dict[str, object]:
    options = {"path": path, "keys": {"key": "key"}, "fields": {"name": "name"}}
    return {"plugin": "lookup", "options": options}


def planned(folder: Path, *paths: str, **more: object) -> tuple[Pipeline, Plan]:
    settings = {
        "plugins": ["mine.py"], "source": {"plugin": "csv", "options": {"path": "in.csv"}},
        "transforms": [lookup(path) for path in paths],
        "sinks": {"out": {"plugin": "csv", "options": {"path": "out.csv"}}}, "default_sink": "out", **more,
    }  # fmt: skip
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(settings))
    secrets = {"KEY": "sk-of-the-account", "OTHER": "of-the-database"}
    pipeline = load_pipeline(folder / "pipeline.yaml", environ=secrets, dotenv=False)
    plan = plan_of(pipeline, "run1", 1, folder / "audit.db", sinks={}, references=keep(pipeline))
    return pipeline, plan


def test_one_content_goes_once_under_all_its_names(folder: Path, tmp_path: Path) -> None:
    whole = str(tmp_path / "same.csv")
    luggage = pack(*planned(folder, "tables/one.csv", "../same.csv", whole))
    table = hashlib.sha256((tmp_path / "same.csv").read_bytes()).hexdigest()
    plugin = hashlib.sha256((folder / "mine.py").read_bytes()).hexdigest()
    assert sorted(file.sha256 for file in luggage.files) == sorted([table, plugin])
    assert {file.name for file in luggage.files} == {f"given/{table}", f"given/{plugin}"}
    assert luggage.baggage.named == {
        "mine.py": str(folder / "mine.py"), "tables/one.csv": str(folder / "tables/one.csv"), "../same.csv": whole,
        whole: whole,
    }  # fmt: skip
    assert luggage.baggage.files == {
        str(folder / "mine.py"): plugin, str(folder / "tables/one.csv"): table, whole: table
    }  # fmt: skip


def test_the_hashes_are_those_that_the_attempt_began_with(folder: Path) -> None:
    pipeline, plan = planned(folder, "tables/one.csv")
    before = {file.sha256 for file in pack(pipeline, plan).files}
    (folder / "tables/one.csv").write_text("key,name\na,changed\n")
    (folder / "mine.py").write_text("raise SystemExit\n")
    assert {file.sha256 for file in pack(pipeline, plan).files} == before


def test_what_only_ordered_stages_open_stays_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered = {"name": "once", "plugin": "deduplicate", "options": {"keys": ["id"]}}
    pipeline, plan = planned(folder, transforms=[lookup("tables/one.csv"), ordered])
    assert plan.graph.stateful[plan.graph.node("once").stage]
    monkeypatch.setattr(type(pipeline.plugins["once"]), "reference_files", lambda self: (Path("later.csv"),))
    assert pack(pipeline, plan).baggage.named.keys() == {"mine.py", "tables/one.csv"}


def test_a_path_that_says_two_files_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "below").mkdir(parents=True)
    (tmp_path / "far" / "later.csv").write_text("key,name\na,far\n")
    (folder / "link").symlink_to(tmp_path / "far" / "below")
    pipeline, plan = planned(folder, "link/../later.csv", "later.csv")
    with pytest.raises(SettingsError, match="goes through a link and up again"):
        pack(pipeline, plan)


def test_a_worker_elsewhere_is_not_told_what_it_has_no_use_for(folder: Path) -> None:
    provider = {"main": {"kind": "openai", "base_url": "https://localhost", "api_key": "${KEY}"}}
    pipeline, plan = planned(folder, "tables/one.csv", providers=provider)
    plan = msgspec.structs.replace(
        plan, secrets={"sk-of-the-account": "${KEY}", "of-the-database": "${OTHER}"},
        database="postgresql://me:of-the-database@host/db", flushes=Flushes("/home/mark", suspects={"batch": 1}),
    )  # fmt: skip
    spec = pack(pipeline, plan).worker(SPEC, plan, "far")
    told = decode_plan(spec.argument)
    assert spec.place == "far"
    assert (told.database, told.secrets) == ("", {"sk-of-the-account": "${KEY}"})
    assert b"of-the-database" not in spec.argument
    assert told.flushes is not None
    assert (told.flushes.path, told.flushes.suspects) == ("", {"batch": 1})
    assert told.graph == plan.graph
    assert told.working_directory == str(folder)


def test_authorities_that_a_provider_trusts_go_along(folder: Path) -> None:
    (folder / "ca.pem").write_text("trusted")
    provider = {"main": {"kind": "http", "base_url": "https://localhost", "verify": "ca.pem"}}
    pipeline, plan = planned(folder, "tables/one.csv", providers=provider)
    assert pack(pipeline, plan).baggage.named["ca.pem"] == str(folder / "ca.pem")
    (folder / "ca.pem").unlink()
    with pytest.raises(SettingsError, match=r"ca\.pem"):
        pack(pipeline, plan)


# -- what must be the same ---------------------------------------------------------------------------------------------


def test_a_machine_has_what_it_requires_itself(folder: Path) -> None:
    pipeline, _ = planned(folder, "tables/one.csv")
    wanted, found = likeness.required(pipeline.plugins.values()), likeness.found()
    assert wanted.items() <= found.items()
    assert {"Elspeth", "Elspeth's code", "Python", "package msgspec", "package pydantic"} <= wanted.keys()
    assert driver.code_hash().startswith(wanted["Elspeth's code"])


def test_another_plugin_of_ours_and_other_messages_are_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = likeness.found(), driver._bytes

    def changed(name: str) -> set[str]:
        monkeypatch.setattr(driver, "_bytes", lambda file: real(file) + b"#" * file.endswith(name))
        after = likeness.found()
        return {name for name in before if before[name] != after[name]}

    assert changed("/transforms/lookup.py") == {"Elspeth's plugins"}
    assert changed("/audit/store/commits/record_frames.py") == {"Elspeth's messages"}
    assert changed("/actors/channel.py") == {"Elspeth's messages"}
    assert changed("/cli/app.py") == set()


def test_other_code_that_decides_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = likeness.found()
    monkeypatch.setattr(driver, "code_of", lambda root: {"execution": "another"})
    after = likeness.found()
    assert {name for name in before if before[name] != after[name]} == {"Elspeth's code"}


def test_an_agent_finds_the_function_by_its_name() -> None:
    module, _, name = likeness.FACTS.partition(":")
    assert getattr(__import__(module, fromlist=[name]), name) is likeness.found
