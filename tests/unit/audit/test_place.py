"""Where an audit database is, is named by one text: what libpq knows passes through it, and no password is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.audit.store.place import PostgresPlace, from_wire, place_of, wire
from elspeth.errors import SettingsError

URLS = [
    "postgresql://ada@db.example/audit",
    "postgresql://ada:s%40cret@db.example:5433/audit?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem&schema=elspeth",
    "postgresql://ada:s%40cret@one.example,two.example/audit?target_session_attrs=read-write",
    "postgresql:///audit?host=/var/run/postgresql",
    "postgresql:///?service=audit&schema=two%20words",
    "postgresql://ada@[::1]:5433/audit?options=-c%20work_mem%3D64MB&password=s+cret",
]


@pytest.mark.parametrize("url", URLS)
def test_libpq_gets_what_was_written_but_for_the_schema(url: str) -> None:
    conninfo = pytest.importorskip("psycopg.conninfo")
    place = place_of(url)
    assert isinstance(place, PostgresPlace)
    assert conninfo.conninfo_to_dict(place.url) == conninfo.conninfo_to_dict(url.partition("schema=")[0].rstrip("?&"))
    assert place.schema == (
        "elspeth" if "=elspeth" in url else "two words" if "two" in url.partition("?")[2] else "public"
    )


@pytest.mark.parametrize("url", URLS)
def test_a_child_gets_the_same_place(url: str) -> None:
    assert from_wire(wire(place_of(url))) == place_of(url)


@pytest.mark.parametrize("url", URLS)
def test_what_is_shown_holds_no_password_and_names_the_same_place(url: str) -> None:
    shown = str(place_of(url))
    assert "cret" not in shown + repr(place_of(url))
    again = place_of(shown)
    assert isinstance(again, PostgresPlace)
    assert (str(again), again.schema) == (shown, place_of(url).schema)  # type: ignore[union-attr]


def test_a_file_is_a_path_in_either_form(tmp_path: Path) -> None:
    assert place_of("sqlite:///./runs/audit.db") == Path("./runs/audit.db")
    assert place_of(f"sqlite:///{tmp_path}/a%20b.db") == tmp_path / "a b.db"
    assert place_of("runs/audit.db") == Path("runs/audit.db")
    assert from_wire(wire(tmp_path / "postgresql:" / "a.db")) == tmp_path / "postgresql:" / "a.db"


@pytest.mark.parametrize("url", ["mysql://here/there", "sqlite:///", "sqlite:///:memory:", "sqlite://host/file"])
def test_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="names no audit database"):
        place_of(url)
