"""Settings loaded without their plugins, with what the pipeline takes from plugins: options that came after 0.1.0."""

from __future__ import annotations

import copy

from elspeth.graph.steps import steps_of
from elspeth.settings import Positions, Settings
from elspeth.settings.effective import OPTIONS_SINCE


def fill_later_options(settings: Settings, positions: Positions) -> None:
    """For `load(further=...)`: a document of the present format names every option, also those that came later."""
    for step in steps_of(settings):
        options = getattr(step.section, "options", None)
        if isinstance(options, dict):
            for name, value in OPTIONS_SINCE.get(f"{step.kind} {step.plugin}", {}).items():
                options.setdefault(name, copy.deepcopy(value))
