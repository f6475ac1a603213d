"""How a plugin is found by its name, and what is said when it is not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins import contract, registry
from elspeth.plugins.options import OptionProblems

GOOD = """
from typing import ClassVar
from elspeth.plugins.contract import Context, PluginOptions, Row, Transform

class DoublerOptions(PluginOptions):
    field: str = "n"

class Doubler(Transform):
    \"\"\"Doubles a number.\"\"\"
    name = "doubler"
    Options = DoublerOptions
    def process(self, row, ctx):
        return {**row, self.options.field: row[self.options.field] * 2}
"""


@pytest.fixture(autouse=True)
def clean_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_from_files", {})
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("elspeth_plugin_"):
            del sys.modules[name]


def written(folder: Path, text: str, name: str = "my.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def message_of(action: Any, *arguments: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        action(*arguments)
    return "\n".join([caught.value.message, *caught.value.details, caught.value.next_step])


def test_a_built_in_plugin_is_found_by_kind_and_name() -> None:
    assert registry.find("transform", "passthrough").name == "passthrough"


@pytest.mark.parametrize("key", registry.BUILT_IN, ids=lambda key: "-".join(key))
def test_every_built_in_plugin_keeps_the_contract(key: tuple[registry.Kind, str]) -> None:
    plugin = registry.find(*key)
    registry.check_contract(plugin, "built in")
    assert (registry.kind_of(plugin), plugin.name) == key
    assert registry.summary(plugin).endswith(".")


def test_finding_a_plugin_imports_no_other() -> None:
    code = (
        "import sys; from elspeth.plugins import registry; registry.find('transform', 'passthrough');"
        "print([m for m in sys.modules if m.startswith('elspeth.plugins.')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "passthrough" in shown
    assert "field_mapper" not in shown
    assert "sources" not in shown


def test_an_unknown_name_is_answered_with_the_known_ones_and_a_guess() -> None:
    message = message_of(registry.find, "transform", "field_maper")
    assert "There is no transform called 'field_maper'. Did you mean 'field_mapper'?" in message
    known = message.partition("known transforms: ")[2].splitlines()[0].split(", ")
    assert known == sorted(known)
    assert {"field_mapper", "passthrough"} <= set(known)


def test_a_name_of_another_kind_is_told_so() -> None:
    assert "'csv' is a sink and a source." in message_of(registry.find, "transform", "csv")


def test_a_plugin_file_adds_its_plugins(tmp_path: Path) -> None:
    registry.load_files([written(tmp_path, GOOD)])
    plugin = registry.build(registry.find("transform", "doubler"), {"field": "m"}, "transforms[0]")
    assert isinstance(plugin, contract.Transform)
    assert plugin.process({"m": 4}, contract.Context("mf3k2a9x", "doubler")) == {"m": 8}


def test_a_plugin_file_is_loaded_once(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    registry.load_files([path])
    first = registry.find("transform", "doubler")
    registry.load_files([path])
    assert registry.find("transform", "doubler") is first


def test_the_source_hash_of_a_file_is_that_of_the_text_that_was_run(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    registry.load_files([path])
    path.write_text("# saved again while the run was going on")
    plugin = registry.find("transform", "doubler")
    assert registry.source_hash(plugin) == hashlib.sha256(GOOD.encode()).hexdigest()


def test_the_source_hash_of_a_built_in_plugin_is_that_of_its_module() -> None:
    plugin = registry.find("transform", "passthrough")
    text = Path(str(sys.modules[plugin.__module__].__file__)).read_bytes()
    assert registry.source_hash(plugin) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:\n", "failed at line 1: SyntaxError"),
        ("\n\nimport no_such_module_anywhere\n", "failed at line 3: ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\n", "failed at line 2: SystemExit"),
        ("x = 1\n", "holds no plugin"),
        (GOOD.replace('"doubler"', '"passthrough"'), "defines the transform 'passthrough', but there is one already"),
        (GOOD.replace("def process", "def proces"), "it does not define process()"),
        (GOOD.replace("Options = DoublerOptions", "Options = dict"), "its `Options` is no class that derives"),
        (GOOD.replace('"doubler"', "7"), "its `name` is 7, not a text"),
        (GOOD + '    determinism = "mostly"\n', "its `determinism` is 'mostly'"),
        (GOOD + "    api_version = 99\n", "is made for plugin API version 99; this Elspeth offers version 1"),
    ],
)
def test_a_bad_plugin_file_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    for _ in range(2):  # the second try says the same: a failed file leaves nothing behind
        message = message_of(registry.load_files, [path])
        assert words in message
        assert "my.py" in message


def test_a_missing_plugin_file_is_named(tmp_path: Path) -> None:
    said = message_of(registry.load_files, [tmp_path / "gone.py"])
    assert "cannot be read: No such file" in said
    assert "Correct `plugins` in the settings" in said


def test_two_files_with_the_same_name_are_two_modules(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    registry.load_files([written(tmp_path, GOOD), written(tmp_path / "other", GOOD.replace('"doubler"', '"tripler"'))])
    assert registry.find("transform", "doubler") is not registry.find("transform", "tripler")


def packages(monkeypatch: pytest.MonkeyPatch, folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        written(folder, text, f"{name}.py")
    monkeypatch.syspath_prepend(str(folder))
    entries = [EntryPoint(name, name, registry.ENTRY_POINT_GROUP) for name in modules]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)


def test_an_installed_package_adds_its_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages(monkeypatch, tmp_path, package_of_doublers=GOOD)
    assert registry.find("transform", "doubler").__module__ == "package_of_doublers"


def test_a_broken_package_is_told_only_when_a_name_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages(monkeypatch, tmp_path, package_that_is_broken="import no_such_module_anywhere\n")
    assert registry.find("transform", "passthrough")
    message = message_of(registry.find, "transform", "doubler")
    assert "package_that_is_broken cannot be imported: ModuleNotFoundError" in message


def test_the_list_of_plugins_names_each_with_its_origin(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    registry.load_files([path])
    infos = registry.available()
    assert {(info.kind, info.name) for info in infos} == {*registry.BUILT_IN, ("transform", "doubler")}
    assert [info.kind for info in infos] == sorted(
        (info.kind for info in infos), key=["source", "transform", "aggregation", "sink"].index
    )
    (doubler,) = [info for info in infos if info.name == "doubler"]
    assert (doubler.summary, doubler.origin, doubler.delivery) == ("Doubles a number.", f"file {path}", None)


def test_every_problem_of_the_options_is_listed_at_once() -> None:
    with pytest.raises(OptionProblems) as caught:
        registry.build(
            registry.find("transform", "field_mapper"), {"maping": {"a": "b"}, "strict": "perhaps"}, "transforms[2]"
        )
    error = caught.value
    assert error.message == "transforms[2]: the options of 'field_mapper' cannot be used."
    assert [str(problem) for problem in error.problems] == [
        "mapping: missing; it must be given",
        "strict: found 'perhaps', allowed is true or false",
        "maping: unknown option; allowed are mapping, schema, select_only, strict (did you mean 'mapping'?)",
    ]
