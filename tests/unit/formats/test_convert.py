"""`elspeth convert` rewrites a file into our own spelling, and it means what it meant."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from elspeth.plugins import registry
from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import difference
from elspeth.settings.convert import convert
from tests.kit.processes.running import EXAMPLES
from tests.unit.formats.conftest import write

Told = Callable[..., tuple[int, str, str]]

OLD = """\
# the pipeline of the house
run_mode: live  # as ever
# where applications come from
sources:
  applications:  # every night
    plugin: csv
    on_success: rows
    options:
      path: in.csv  # made by hand
      on_validation_failure: bad
      schema: {mode: free, fields: ["id: int", "x: float"], audit_fields: [id]}
transforms:
  # nothing is done here
  - plugin: passthrough
    input: rows
    on_success: out
    schema:
      fields: dynamic  # whatever comes
    options:
      required_input_fields: [id]
      on_error: bad
sinks:
  out: {plugin: json, options: {path: 'out.json'}}
  bad: {plugin: json, options: {path: bad.json}}
# how it is kept
landscape:
  backend: sqlite
  url: sqlite:///./runs/audit.db  # the usual place
  enabled: true
  # for the auditors
  export: {enabled: false, signing_mode: hmac_sha256}
secrets: {source: env}
"""


@pytest.fixture
def converted(folder: Path, told: Told) -> str:
    write(OLD)
    code, _, said = told("convert", "pipeline.yaml", "-o", "new.yaml")
    assert code == 0, said
    return Path("new.yaml").read_text()


def test_the_new_file_means_what_the_old_one_meant(converted: str) -> None:
    old, new = (load_pipeline(Path(name), environ={}, dotenv=False) for name in ("pipeline.yaml", "new.yaml"))
    found = difference(old.loaded.document, new.loaded.document)
    spelt = ("schema", "required_fields", "required_input_fields")  # what the graph holds of these is compared below
    assert [key for key in found if not any(word in key for word in spelt)] == []
    assert [node.schema for node in old.graph.nodes] == [node.schema for node in new.graph.nodes]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/pipeline.yaml")))
def test_examples_mean_the_same_when_they_are_converted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("output", "runs", "state"))
    monkeypatch.chdir(folder)
    text, changes = convert(Path("pipeline.yaml").read_text())
    Path("new.yaml").write_text(text)
    with registry.apart():  # the plugins of other folders have the same names
        old, new = (load_pipeline(Path(file), environ={}, dotenv=False) for file in ("pipeline.yaml", "new.yaml"))
    assert [key for key in difference(old.loaded.document, new.loaded.document) if "schema" not in key] == []
    assert old.graph.edges == new.graph.edges
    assert [node.schema for node in old.graph.nodes] == [node.schema for node in new.graph.nodes]
    assert convert(text) == (text, [])
    assert changes or text == Path("pipeline.yaml").read_text()


def test_comments_are_kept(converted: str) -> None:
    for comment in (
        "# the pipeline of the house", "# where applications come from", "# every night", "# made by hand",
        "# nothing is done here", "# whatever comes", "# how it is kept", "# the usual place", "# for the auditors",
    ):  # fmt: skip
        assert comment in converted


def test_it_says_what_it_changed(folder: Path, told: Told) -> None:
    write(OLD)
    _, printed, _ = told("convert", "pipeline.yaml", "-o", "new.yaml", "--json")
    assert set(json.loads(printed)["changes"]) == {
        "sources.applications.options.on_validation_failure: moved to sources.applications.on_validation_failure",
        "transforms.0.options.on_error: moved to transforms.0.on_error",
        "transforms.0.schema: moved to transforms.0.options.schema",
        "transforms.0.required_input_fields: is required_fields",
        "sources.applications.options.schema.mode: free is flexible",
        "transforms.0.options.schema: fields: dynamic is mode: observed",
        "landscape.export.signing_mode: hmac_sha256 is sign: true",
        "run_mode: left out, it has no effect",
        "landscape.backend: left out, it has no effect",
        "landscape.enabled: left out, it has no effect",
        "secrets: left out, it has no effect",
        "sources.applications.options.schema.audit_fields: left out, it has no effect",
    }


def test_a_file_in_our_own_spelling_stays_as_it_is(converted: str, told: Told) -> None:
    code, printed, _ = told("convert", "new.yaml", "-o", "again.yaml", "--json")
    assert (code, json.loads(printed)["changes"]) == (0, [])
    assert Path("again.yaml").read_text() == converted


def test_no_file_is_written_over(converted: str, told: Told) -> None:
    code, _, said = told("convert", "pipeline.yaml", "-o", "new.yaml")
    assert code == 2
    assert "new.yaml cannot be written: File exists" in said
    assert Path("pipeline.yaml").read_text() == OLD


@pytest.mark.parametrize("text", ["a: [", "- a\n", ""])
def test_what_is_no_pipeline_is_refused_and_nothing_is_written(text: str, folder: Path, told: Told) -> None:
    Path("old.yaml").write_text(text)
    assert told("convert", "old.yaml", "-o", "new.yaml")[0] == 2
    assert not Path("new.yaml").exists()


def test_ruamel_yaml_is_imported_by_nothing_else() -> None:
    script = (
        "import sys; from elspeth.cli import app; app.run(['validate', 'nowhere.yaml']);"
        " print([name for name in sys.modules if name.startswith('ruamel')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("missing", ["ruamel", "ruamel.yaml"])
def test_without_the_extra_the_package_and_how_to_install_it_are_named(missing: str, folder: Path) -> None:
    script = (
        f"import sys; sys.modules[{missing!r}] = None; from elspeth.cli import app;"
        " sys.exit(app.run(['convert', 'pipeline.yaml', '-o', 'new.yaml']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "elspeth convert needs ruamel.yaml, which is not installed" in done.stderr
    assert "pip install 'elspeth[convert]'" in done.stderr
    assert not (folder / "new.yaml").exists()
