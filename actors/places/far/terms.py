"""What is agreed with every agent, and how it is said that one does not keep to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.wire.words import VERSION, Facts


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed with every agent.

    `facts` names a function, "module:function", that says on the node what is there, as names with versions or hashes;
    what `required` has must be the same, or the node is refused. Without a word from an agent for `unreachable_seconds`
    its child is lost; without a word from here for as long, the agent ends its child and itself. Both show every
    `beat_seconds` that they are there. `environment` is set for the child, over what the node has.
    """

    required: Mapping[str, str] = field(default_factory=dict)
    facts: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    unreachable_seconds: float = 30.0
    beat_seconds: float = 2.0


def differences(terms: Terms, facts: Facts, where: str) -> str:
    """Why a node is refused, as a sentence that names both sides; empty if it is not."""
    if facts.version != VERSION:
        return (
            f"the node agent on {where} speaks version {facts.version}, this machine {VERSION}: "
            "have the same program on both"
        )
    if facts.problem:
        return f"{where} cannot be asked what is installed there: {facts.problem}; have the same program on both"
    other = [
        f"{name} {facts.found.get(name, 'missing')} where this machine has {wanted}"
        for name, wanted in terms.required.items()
        if facts.found.get(name) != wanted
    ]
    return f"{where} has {', and '.join(other)}: have the same on both" if other else ""
