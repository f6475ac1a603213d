from __future__ import annotations

from typing import Any

import pytest

from actors.spec import ChildSpec, GivenFile, SpecError


def test_a_spec_needs_only_a_name_and_a_target() -> None:
    spec = ChildSpec("worker-1", "package.module:Worker")
    assert (spec.restart, spec.argument, spec.expendable) == ("permanent", b"", False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "two\nlines"),
        ("target", "package.module"),
        ("target", "package.:Worker"),
        ("target", "package.module:not a class"),
        ("argument", "text"),
        ("restart", "sometimes"),
        ("shutdown_seconds", -1.0),
        ("shutdown_seconds", float("nan")),
        ("hang_seconds", 0.0),
        ("hang_seconds", float("inf")),
        ("memory_limit_bytes", 1000),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused_by_field_and_value(field: str, value: Any) -> None:
    fields: dict[str, Any] = {"name": "worker-1", "target": "package.module:Worker", field: value}
    with pytest.raises(SpecError) as refused:
        ChildSpec(**fields)
    assert f"{field} is {value!r}" in str(refused.value)
    assert repr(fields["name"]) in str(refused.value)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a//b", "a/./b", "a\0b"])
def test_a_given_file_stays_within_the_folder_of_its_child(name: str) -> None:
    with pytest.raises(SpecError, match="relative path"):
        GivenFile(name, "/somewhere", "0" * 64)


def test_a_given_file_has_a_hash() -> None:
    assert GivenFile("plugins/own.py", "/somewhere", "0" * 64).name == "plugins/own.py"
    with pytest.raises(SpecError, match="SHA-256"):
        GivenFile("own.py", "/somewhere", "abc")
