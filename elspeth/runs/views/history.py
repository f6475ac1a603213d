"""What happened to a run, as sentences: its recorded events and what operators did, in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from elspeth.audit.query.values import Attempt, EventRecord, OperatorAction
from elspeth.audit.store.attempts.caution_events import CAUTION, IN_HAND
from elspeth.coordinator.reporting.standstill import sentence

_ACTIONS = {
    "fix": "cleaned up with `doctor --fix`",
    "mark_failed": "given up",
    "force_new": "given up for a new run",
    "take_over": "taken over from a frozen process",
    "purge": "contents of rows purged",
    "migrate": "schema of the audit database brought forward",
}
_ENDS = ("completed", "failed", "interrupted")


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened, at a time (ISO 8601, UTC), in an attempt or from outside (None)."""

    at: str
    attempt: int | None
    sentence: str


def history(
    attempts: Iterable[Attempt], events: Iterable[EventRecord], actions: Iterable[OperatorAction]
) -> list[Happening]:
    """Everything worth telling, oldest first. That a child was started, and marks of the flow, are left out."""
    drivers = {attempt.attempt: attempt for attempt in attempts}
    told = [Happening(action.created_at, None, _action(action)) for action in actions]
    for event in events:
        sentence = _event(event, drivers.get(event.attempt))
        if sentence is not None:
            told.append(Happening(event.at, event.attempt, sentence))
    return sorted(told, key=lambda happening: happening.at)


def _event(event: EventRecord, driver: Attempt | None) -> str | None:
    facts = _facts(event.detail)
    if event.child is None:
        return _of_the_run(event, driver, facts)
    who = _process(event.child, event.pid, facts)
    match event.event:
        case "restarted":
            return f"{who} was started again"
        case "exited":
            return f"{who} {_exit(facts)}"
        case "gave_up":
            return f"{who} kept dying: {facts.get('reason', '')}"
        case "suspect":
            return f"row {facts.get('row_index')} is suspected: {facts.get('reason', '')}"
        case "quarantined" if facts.get("batch"):
            return f"batch {facts['batch']} was set aside: {facts.get('reason', '')}"
        case "quarantined" if facts.get("token"):
            return f"{_token(facts)} was set aside: {facts.get('reason', '')}"
        case "quarantined":
            return f"row {facts.get('row_index')} was set aside: {facts.get('reason', 'it killed its workers')}"
        case "cut":
            return f"{facts.get('size_bytes'):,} bytes cut off {facts.get('path')}; a copy is in {facts.get('copy')}"
        case "waiting":
            return sentence(float(facts.get("seconds") or 0), str(facts.get("waiting_for", "")))
        case "stopping":
            return str(facts.get("reason", "stopping"))
        case "cluster":
            return f"workers on other machines were asked for: {facts.get('asked', '')}"
        case "killed_leftover":
            return f"process {event.pid}, left over from an earlier attempt, was killed"
    return None


def _process(child: str, pid: int | None, facts: Mapping[str, Any]) -> str:
    """Which process, and where it ran if that was another machine."""
    found = [f"pid {pid}"] if pid else []
    found += [f"on {facts['node']}"] if facts.get("node") else []
    return f"{child} ({' '.join(found)})" if found else child


def _facts(detail: str | None) -> Mapping[str, Any]:
    """What an event holds; nothing where somebody made something else of it, which is for `verify` to say."""
    try:
        found = json.loads(detail or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _of_the_run(event: EventRecord, driver: Attempt | None, facts: Mapping[str, Any]) -> str | None:
    if event.event == "started" and driver is not None:
        where = f" in container {driver.container_id[:12]}" if driver.container_id else ""
        return f"attempt {driver.attempt} began: {driver.user}, pid {driver.pid} on {driver.host}{where}"
    if event.event == "driver" and facts.get("accepted"):
        return f"what decides was another, and accepted: {'; '.join(facts['accepted'])}"
    if event.event == CAUTION:
        return f"attempts had died at one place: its first {facts.get('rows')} rows go one at a time"
    if event.event == IN_HAND and (facts.get("batches") or facts.get("tokens")):
        held = [f"the flush of batch {each['batch']}" for each in facts.get("batches", ())]
        named = " and ".join([*held, *map(_token, facts.get("tokens", ()))])
        return f"{named} was in hand when attempt {facts.get('attempt')} died"
    if event.event == IN_HAND:
        return f"row {facts.get('row_index')} was the one in hand when attempt {facts.get('attempt')} died"
    if event.event in _ENDS:
        why = driver.end_reason if driver is not None else None
        return f"the run {event.event}" if why in (None, event.event) else f"the run is {event.event}: {why}"
    return None  # what an operator did is told from the record of the act


def _token(facts: Mapping[str, Any]) -> str:
    at = f" at {facts['sink']}" if facts.get("sink") else ""
    return f"token {facts['token']}{at}"


_REASONS = {
    "hang": "hung and was killed",
    "memory": "ran out of memory",
    "oom": "was killed by the kernel: out of memory",
    "fork_server": "died with the process that children are forked from",
}


def _exit(facts: Mapping[str, Any]) -> str:
    reason = str(facts.get("reason") or "")
    if reason == "place":
        return f"was lost: {facts.get('lost') or 'its place was'}"
    if reason.startswith("killed:"):
        return f"was killed: {reason.removeprefix('killed:')}"
    if reason in _REASONS:
        return _REASONS[reason]
    if facts.get("signal"):
        return f"was killed by {facts['signal']}"
    return f"ended with exit code {facts.get('exit_code')}"


def _action(action: OperatorAction) -> str:
    what = _ACTIONS.get(action.action, action.action)
    return f"{what} by {action.user}" + (f": {action.reason}" if action.reason else "")
