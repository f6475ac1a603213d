"""What drove an attempt: what of it decides, what is a number only."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

import elspeth
from elspeth.plugins import registry
from elspeth.runs.lifecycle import driver
from elspeth.runs.lifecycle.driver import DECIDES, Driver, code_of, differences

THEN = Driver(
    elspeth="0.1.0", python="3.11.7", implementation="CPython", platform="Linux x86_64", packages={"orjson": "3.10.1"},
    code={"execution": "aa", "graph": "bb"},
)  # fmt: skip
PACKAGE = Path(elspeth.__file__).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "elspeth"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_same_differs_in_nothing() -> None:
    assert differences(THEN, THEN) == ([], [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": {"execution": "cc", "graph": "bb"}}, "Elspeth's execution: code changed"),
        ({"code": {"graph": "bb"}}, "Elspeth's execution: code changed"),
        ({"packages": {"orjson": "3.11.0"}}, "package orjson: 3.10.1 then, 3.11.0 now"),
        ({"packages": {}}, "package orjson: 3.10.1 then, not there now"),
        ({"python": "3.12.1"}, "Python: CPython 3.11.7 then, CPython 3.12.1 now"),
        ({"implementation": "PyPy"}, "Python: CPython 3.11.7 then, PyPy 3.11.7 now"),
    ],
)
def test_what_decides_is_named(change: dict[str, object], words: str) -> None:
    deciding, told = differences(THEN, msgspec.structs.replace(THEN, **change))
    assert len(deciding) == 1
    assert words in deciding[0]
    assert told == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"elspeth": "0.1.1"}, "Elspeth 0.1.0 then, 0.1.1 now; what decides in it is the same"),
        ({"python": "3.11.9"}, "Python 3.11.7 then, 3.11.9 now"),
        ({"platform": "Linux aarch64"}, "Linux x86_64 then, Linux aarch64 now"),
    ],
)
def test_a_number_alone_is_told(change: dict[str, object], words: str) -> None:
    assert differences(THEN, msgspec.structs.replace(THEN, **change)) == ([], [words])


DECIDES_NOTHING = {
    "api": "starts and shows", "audit": "records what was decided", "cli": "asks and shows",
    "clock.py": "what time it is", "durable.py": "disks", "__init__.pyi": "types",
    "errors.py": "ends of runs", "file_identity.py": "which file is which", "outputs.py": "what a sink says of a file",
    "refusals.py": "ends of runs", "runs": "starts and watches", "settings": "the value of every option is stored",
    "testing": "tests", "visible.py": "terminals", "__init__.py": "the version", "py.typed": "types",
}  # fmt: skip
"""Rooms whose code may be another in the next attempt, and why."""


def test_of_every_room_it_is_known_whether_it_decides() -> None:
    there = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert there == {*DECIDES, *DECIDES_NOTHING}
    assert not DECIDES_NOTHING.keys() & set(DECIDES)


@pytest.mark.parametrize("room", DECIDES)
def test_one_byte_of_what_decides_changes_its_room_alone(room: str, copy: Path) -> None:
    module = copy / room if room.endswith(".py") else next(iter(sorted((copy / room).rglob("*.py"))))
    module.write_bytes(module.read_bytes() + b"#")
    before, after = code_of(str(PACKAGE)), code_of(str(copy))
    assert [name for name in DECIDES if before[name] != after[name]] == [room]


def test_a_module_that_goes_or_comes_counts(copy: Path) -> None:
    (copy / "execution/gate.py").rename(copy / "execution/gates.py")
    (copy / "graph/more.py").write_text("")
    before, after = code_of(str(PACKAGE)), code_of(str(copy))
    assert [name for name in DECIDES if before[name] != after[name]] == ["execution", "graph"]


def test_what_does_not_decide_does_not_count(copy: Path) -> None:
    for module in ("cli/app.py", "runs/lifecycle/driver.py", "plugins/sources/json_source.py"):
        (copy / module).write_text("")
    assert code_of(str(PACKAGE)) == code_of(str(copy))


def test_packages_that_a_plugin_of_the_user_imports_are_named_with_their_versions(tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(
        "import json\nimport psutil\nfrom yaml import safe_load\nfrom elspeth.plugins.contract import Transform\n"
        "class Own(Transform):\n    name = 'own_of_driver'\n    def process(self, row, ctx): return row\n"
    )
    with registry.apart():
        registry.load_files([plugin])
        found = driver.present([registry.build(registry.find("transform", "own_of_driver"), {}, "own")]).packages
    import psutil
    import yaml

    assert (found["psutil"], found["yaml"]) == (psutil.__version__, yaml.__version__)
    assert not {"json", "elspeth", "own"} & found.keys()
    assert "psutil" not in driver.present([]).packages
