"""Holds the steps that ask services against the accounts in the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from elspeth.graph.steps import steps_of
from elspeth.plugins.contract import Changes, Plugin
from elspeth.settings import Positions, Problem, Settings
from elspeth.settings.problems import suggest


def problems(settings: Settings, plugins: Mapping[str, Plugin], positions: Positions) -> Iterator[Problem]:
    """A problem for each account that is asked and not there, or of another kind."""
    known = settings.providers
    for step in steps_of(settings):
        plugin = plugins.get(step.id)
        if not isinstance(plugin, Changes):
            continue
        for name, kinds in plugin.providers().items():
            place = step.at("options", "provider")
            if name not in known:
                yield positions.problem(place, "there is no such provider", found=repr(name),
                                        allowed=", ".join(known) or "a name in `providers`",
                                        suggestion=suggest(name, list(known)))  # fmt: skip
            elif kinds and known[name].kind not in kinds:
                yield positions.problem(place, f"{name!r} is a provider of kind {known[name].kind}",
                                        allowed=f"one of kind {', '.join(kinds)}")  # fmt: skip
            elif not known[name].deployment and getattr(plugin.options, "model", "") is None:
                yield positions.problem(step.at("options", "model"), "is missing", allowed="the name of a model")


def unpriced(settings: Settings, plugins: Mapping[str, Plugin], positions: Positions) -> Iterator[Problem]:
    """A line for each step whose calls the budget counts for nothing."""
    if settings.budget.max_cost is None:
        return
    for step in steps_of(settings):
        plugin = plugins.get(step.id)
        if isinstance(plugin, Changes) and plugin.providers():
            price = getattr(plugin.options, "price", None)
            if price is not None and not any(price.model_dump().values()):
                yield positions.problem(step.at("options", "price"), "is not said: budget.max_cost counts nothing here")
