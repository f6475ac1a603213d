from __future__ import annotations

import subprocess
import sys

import pytest

import actors


def modules_after(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_a_child_starts_without_the_supervisors_imports() -> None:
    loaded = modules_after("import actors.places.local.child_main")
    assert loaded.isdisjoint({"psutil", "subprocess", "dataclasses", "actors.supervisor", "elspeth"})


def test_the_runtime_knows_nothing_of_the_product() -> None:
    loaded = modules_after("import actors; [getattr(actors, name) for name in actors.__all__]")
    assert not [name for name in loaded if name.split(".")[0] == "elspeth"]


def test_every_public_name_is_there() -> None:
    assert [name for name in actors.__all__ if not hasattr(actors, name)] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = actors.no_such_thing
