"""What came along lies as it lies at home, each content once, under every name that the run has for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elspeth import located
from elspeth.calls.wire import transport
from elspeth.file_identity import open_regular
from elspeth.plugins.contract import Context
from elspeth.roles.baggage import STATE, Baggage, arrival, lay_out

AA, BB = "a" * 64, "b" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for sha256, content in ((AA, "first"), (BB, "second")):
        place = tmp_path / arrival(sha256)
        place.parent.mkdir(exist_ok=True)
        place.write_text(content)
    return tmp_path


FILES = {"/home/run/tables/in.csv": AA, "/home/shared/up.csv": BB, "/data/whole.csv": AA}
NAMED = {
    "tables/in.csv": "/home/run/tables/in.csv", "../shared/up.csv": "/home/shared/up.csv",
    "not there/../tables/in.csv": "/home/run/tables/in.csv", "/data/whole.csv": "/data/whole.csv",
}  # fmt: skip


def test_relative_names_lead_to_copies_by_themselves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = lay_out(Baggage(FILES, NAMED), folder, "/home/run")
    monkeypatch.chdir(folder / "head" / "home" / "run")
    contents = {name: Path(name).read_text() for name in NAMED if not name.startswith("/")}
    assert contents == {"tables/in.csv": "first", "../shared/up.csv": "second", "not there/../tables/in.csv": "first"}
    assert {name: copies[name].read_text() for name in NAMED} == {**contents, "/data/whole.csv": "first"}
    assert (folder / STATE).is_dir()


def test_each_content_is_there_once(folder: Path) -> None:
    copies = lay_out(Baggage(FILES, NAMED), folder, "/home/run")
    assert copies["tables/in.csv"].stat().st_ino == copies["/data/whole.csv"].stat().st_ino


def test_what_did_not_arrive_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lay_out(Baggage({"/x": "c" * 64}, {"/x": "/x"}), folder, "/home/run")


# -- where files are ---------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(located, "_copies", {})
    monkeypatch.setattr(located, "_roots", [])
    root = folder / "head"
    located.elsewhere(root, lay_out(Baggage(FILES, NAMED), folder, "/home/run"))
    return root


def test_at_home_every_file_is_where_it_is() -> None:
    assert located.located("x/../y") == Path("x/../y")
    assert located.known_as("/x/y") == "/x/y"
    assert Context("r", "n").file("/data/whole.csv") == Path("/data/whole.csv")


def test_elsewhere_a_copy_is_found_by_any_name_and_its_name_by_the_copy(elsewhere: Path) -> None:
    for name in (*NAMED, "/data/../data/whole.csv"):
        found = located.located(name)
        assert found.is_relative_to(elsewhere)
        assert found.exists()
    assert located.known_as(located.located("/data/whole.csv")) == "/data/whole.csv"
    assert located.known_as("/tmp/other") == "/tmp/other"
    assert located.known_as(str(elsewhere) + "-beside/x") == str(elsewhere) + "-beside/x"
    assert located.located("/not/ours") == Path("/not/ours")


def test_who_opens_files_for_us_opens_the_copy_and_calls_it_what_the_run_does(elsewhere: Path) -> None:
    with open_regular(Path("/data/whole.csv")) as file:
        assert file.read() == b"first"
    assert Context("r", "n").file(Path("/data/whole.csv")).read_text() == "first"


def test_trusted_authorities_are_read_from_the_copy(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(transport.ssl, "create_default_context", lambda cafile: asked.append(cafile))
    transport._context("/data/whole.csv")
    assert asked == [elsewhere / "data" / "whole.csv"]
    assert os.fspath(elsewhere / "data" / "whole.csv") != "/data/whole.csv"
