"""What belongs to one room is named in no other: the database's driver, what is stored, the way of imports."""

from __future__ import annotations

import ast
import tomllib

from tests.docs.imports import MODULES, circles, graph, imported, module_of, users
from tests.docs.repository import ROOT, text_of

DATABASE = ("sqlite3", "peewee", "psycopg")
"""Drivers and the models on top of them: whoever imports one of these can write SQL past the audit room."""


def test_no_module_outside_the_audit_room_names_a_database_driver() -> None:
    found = users(*DATABASE)
    assert "elspeth.audit.store.database" in found
    assert {name: lines for name, lines in found.items() if not name.startswith("elspeth.audit.")} == {}


def test_ray_is_imported_in_its_room_only() -> None:
    found = users("ray")
    assert found
    assert {name: lines for name, lines in found.items() if not name.startswith("actors.places.ray.")} == {}


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(graph()) == []


def test_a_circle_is_found_and_a_diamond_is_none() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


def test_an_import_is_seen_in_every_form_and_place() -> None:
    text = "import a.b\nfrom c import d as e\ntry:\n    import j\nfinally:\n    def f():\n        from g.h import i\n"
    types = "if TYPE_CHECKING:\n    import k\n"
    assert {name for name, _ in imported(ast.parse(text + types))} == {"a.b", "c.d", "j", "g.h.i"}


def test_the_runtime_can_be_taken_out_it_imports_nothing_of_ours() -> None:
    ours = [module_of(file) for file in MODULES if module_of(file).startswith("actors")]
    assert [name for name in ours if any(other.startswith("elspeth") for other in graph()[name])] == []


def test_every_room_has_its_place_in_the_import_rules() -> None:
    rules = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = [rule for rule in rules if rule["type"] == "layers"]
    listed = {name.strip() for layer in layers["layers"] for name in layer.replace(":", "|").split("|")}
    rooms = {module_of(file).split(".")[1] for file in MODULES if module_of(file).startswith("elspeth.")}
    assert listed == rooms
    assert layers["exhaustive"] is True
