"""Which batches and tokens are suspected of having killed whole attempts, and which are convicted of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from elspeth.audit.query.values import EventRecord
from elspeth.audit.store.attempts.caution_events import IN_HAND
from elspeth.coordinator.blame import Conviction, Suspicion
from elspeth.roles.flush_mark import Held, output_name
from elspeth.runs.liveness.row_mark import Marked


def deaths_by_name(
    events: Iterable[EventRecord], *, ran_out: AbstractSet[int]
) -> tuple[dict[str, int], frozenset[str]]:
    """The attempts that died with each batch or token in hand, as those behind them put it; and which are tokens.

    `ran_out` are the attempts during which memory ran out: nothing in hand did that.
    """
    deaths: dict[str, int] = {}
    tokens = set()
    for event in events:
        facts = json.loads(event.detail or "{}") if event.event == IN_HAND else {}
        if facts.get("attempt") in ran_out:
            continue
        in_tokens = [
            output_name(each["token"], each["sink"]) if "sink" in each else each["token"]
            for each in facts.get("tokens", ())
        ]
        tokens.update(in_tokens)
        for name in [*(each["batch"] for each in facts.get("batches", ())), *in_tokens]:
            deaths[name] = deaths.get(name, 0) + 1
    return deaths, frozenset(tokens)


def held_in_stages(marked: Marked | None, suspects: Mapping[str, int]) -> tuple[Held, ...]:
    """Of what the latest attempt can have died in later stages: while many rows were in hand, of suspects alone."""
    if marked is None:
        return ()
    return tuple(held for held in marked.held if not marked.many or held.name in suspects)


def open_suspects(
    deaths: Mapping[str, int], held: Iterable[Held], *, count: bool, decided: Callable[[str], bool]
) -> dict[str, int]:
    """What is suspected now, with its deaths. `count`: the latest attempt is one more for what is `held`.

    A batch that is `decided` was flushed after all. A token that came through does not come again.
    """
    total = dict(deaths)
    for each in held if count else ():
        total[each.name] = total.get(each.name, 0) + 1
    return {name: died for name, died in total.items() if not decided(name)}


def convicted(suspects: Mapping[str, int], poison_attempts: int) -> dict[str, Conviction]:
    """The verdicts on those that died often enough."""
    suspicion = Suspicion(reason="killed the processes of earlier attempts")
    return {name: suspicion.convict(died) for name, died in suspects.items() if died >= poison_attempts}
