"""What asking services takes is imported where it is used, and missed in a sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins import registry

STEPS = {"llm": {"provider": "p", "model": "m", "prompt_template": "x"}, "http": {"provider": "p"}}


@pytest.mark.parametrize("name", STEPS)
def test_packages_that_are_not_installed_are_named_with_what_installs_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "elspeth.plugins.services.extras.find_spec", lambda package: None if package == "urllib3" else found(package)
    )
    with pytest.raises(SettingsError) as raised:
        registry.build(registry.find("transform", name), STEPS[name], name)
    assert "not installed: urllib3" in raised.value.message
    assert raised.value.details == ("pip install 'elspeth[calls]'",)


def imported(code: str) -> set[str]:
    """Which packages of the extra are there after this code ran in a fresh interpreter."""
    check = "import sys; print(*{'jinja2', 'jsonschema', 'urllib3'} & sys.modules.keys())"
    done: Any = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_pipeline_that_asks_nothing_imports_nothing_of_it() -> None:
    code = (
        "import elspeth.runs.lifecycle.pipeline, elspeth.roles.worker, elspeth.cli.app\n"
        "import elspeth.plugins.transforms.llm, elspeth.plugins.transforms.http, elspeth.settings.services"
    )
    assert imported(code) == set()
    assert imported("import elspeth.calls.wire.client") == {"urllib3"}  # so that the check above can fail
