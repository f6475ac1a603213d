"""Says in a sentence that the packages for asking services are not there."""

from __future__ import annotations

from importlib.util import find_spec

from elspeth.errors import SettingsError

PACKAGES = ("jinja2", "jsonschema", "urllib3")


def require(plugin: str) -> None:
    """Raise `SettingsError` unless everything of the extra `calls` is installed. Imports nothing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"the step {plugin!r} asks a service, which needs packages that are not installed: {', '.join(missing)}",
            details=["pip install 'elspeth[calls]'"],
        )
