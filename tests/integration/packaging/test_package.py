"""What is released: a wheel and a source distribution that are whole, and every command from the wheel alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from elspeth import __version__
from elspeth.cli.app import cli
from elspeth.cli.commands import COMMANDS
from elspeth.cli.view.manual import pages
from tests.docs.repository import name_of, tracked
from tests.kit.packaging import Built, build
from tests.kit.processes.running import environment
from tests.kit.processes.waiting import PATIENCE_SECONDS

MAN = shutil.which("man")
HEAVY_EXTRAS = ("calls", "convert", "otlp", "zstd")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheel and source distribution, built by the command that builds what is released."""
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel; packages that it needs come from ours."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", venv, "install", "--quiet", "--no-deps", "--no-index", built.wheel],
        check=True,
    )
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as wheel:
        return Parser().parsestr(wheel.read(f"elspeth-{__version__}.dist-info/METADATA").decode())


def test_the_wheel_says_all_that_an_index_shows(built: Built) -> None:
    found = metadata(built)
    assert (found["Name"], found["Version"], found["Requires-Python"]) == ("elspeth", __version__, ">=3.11")
    assert found["License-Expression"] == "MIT" or found["License"] == "MIT"
    assert found["License-File"] == "LICENSE"
    assert found["Summary"]
    assert found["Author"]
    assert found["Keywords"]
    assert {line.partition(",")[0] for line in found.get_all("Project-URL", [])} == {
        "Source",
        "Documentation",
        "Changes",
    }
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    assert set(found.get_all("Provides-Extra", [])) >= {*HEAVY_EXTRAS, "test", "dev"}
    assert found["Description-Content-Type"].startswith("text/markdown")
    assert str(found.get_payload()).startswith("# Elspeth")


def test_the_wheel_holds_the_packages_with_their_types_and_pages_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    ours = [name_of(file) for file in tracked(".py", ".pyi")]
    modules = {name for name in ours if name.startswith(("elspeth/", "actors/"))}
    assert {name for name in names if name.endswith((".py", ".pyi"))} == modules
    assert {"elspeth/py.typed", "actors/py.typed"} <= names
    assert {f"elspeth/runs/views/report/page.{end}" for end in ("html", "css", "js")} <= names
    assert {name.split("/")[0] for name in names} == {
        "actors", "elspeth", f"elspeth-{__version__}.dist-info", f"elspeth-{__version__}.data",
    }  # fmt: skip


def test_there_is_a_manual_page_for_every_command(built: Built) -> None:
    folder = f"elspeth-{__version__}.data/data/share/man/man1/"
    with zipfile.ZipFile(built.wheel) as wheel:
        found = {
            name.removeprefix(folder): wheel.read(name).decode() for name in wheel.namelist() if name.startswith(folder)
        }
    assert found == dict(pages(cli))
    assert {f"elspeth-{name}.1" for name in COMMANDS} | {"elspeth.1", "elspeth-plugins-list.1"} <= found.keys()


@pytest.mark.skipif(MAN is None, reason="there is no man here: Debian's package man-db")
def test_man_shows_them_without_a_complaint_and_says_what_help_says(tmp_path: Path) -> None:
    for name, text in pages(cli):
        (tmp_path / name).write_text(text)
    says = {
        "elspeth-run.1": "--auto-resume",
        "elspeth.1": "elspeth-explain(1)",
        "elspeth-explain.1": '--where "id=1543"',
        "elspeth-schema.1": "# yaml-language-server: $schema",
    }
    for name, words in says.items():
        done = subprocess.run(
            [str(MAN), "--warnings", "-E", "ascii", "-l", tmp_path / name], capture_output=True, text=True, check=False,
            env=environment(MANWIDTH="100", LC_ALL="C.UTF-8"),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert words in done.stdout


def test_the_source_distribution_has_what_is_needed_to_change_and_test_it(built: Built) -> None:
    with tarfile.open(built.source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {name_of(file) for file in tracked() if name_of(file) not in (".gitignore", ".dockerignore")}
    assert wanted - names == set()
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", "audit.db"))]


WITHOUT_RUN = [("--version",), ("completion", "show", "bash"), ("schema",), ("init", ".")]
WITH_RUN = [
    ("validate", "--settings", "pipeline.yaml"), ("run", "--settings", "pipeline.yaml", "--execute"),
    ("status", "latest"), ("explain", "--row", "1"), ("report", "latest", "-o", "run.html"), ("verify", "latest"),
    ("doctor",), ("export", "latest", "-o", "evidence"), ("replay", "latest"),
]  # fmt: skip


def test_commands_work_from_the_wheel_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    for words in (*WITHOUT_RUN, *WITH_RUN):
        done = subprocess.run(
            [installed / "elspeth", *words], cwd=tmp_path, env=environment(), capture_output=True, text=True,
            check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr}"


def test_python_finds_the_wheel_with_its_types(installed: Path, tmp_path: Path) -> None:
    script = (
        "import elspeth, pathlib\n"
        "place = pathlib.Path(elspeth.__file__)\n"
        "print(place.with_name('py.typed').exists(), place.with_suffix('.pyi').exists(), 'venv' in place.parts)\n"
        "print(elspeth.run)\n"
    )
    done = subprocess.run(
        [installed / "python", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("True True True\n<function run")
