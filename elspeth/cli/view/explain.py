"""The lineage of a row in plain words, in the order in which it happened; what a token became stands below it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from elspeth.audit.explain.payload_reader import Explained
from elspeth.cli import output
from elspeth.visible import one_line

_KINDS = {"aggregation": "aggregation", "coalesce": "merge of branches", "gate": "gate", "sink": "sink"}
_TIMES = {
    "count": "it was full",
    "condition": "its condition held",
    "timeout": "its time was up",
    "end_of_source": "the input had ended",
    "require_all": "all had come",
    "quorum": "enough had come",
    "first": "one had come",
}


def render(lineage: Explained, *, full: bool = False) -> str:
    """The lineage as text. Of what a step was given only what it changed is shown, unless in `full`."""
    lines = [output.styled(f"Row {lineage['row']} of run {lineage['run_id']} ({lineage['run_status']})", "bold"), ""]
    lines += _read(lineage["read"], lineage["refused"])
    lines += map(_driver, lineage["driven_by"])
    if lineage["purged"]:
        purged = lineage["purged"]
        why = f": {purged['reason']}" if purged["reason"] else ""
        lines += [
            "",
            f"Row data of this run was purged at {purged['at']} by {purged['user']}{why}; it is no longer kept.",
            *(["Why the source refused it stays: the chain covers that sentence."] if lineage["refused"] else []),
        ]
    if lineage["deaths"]:
        lines += ["", "Blamed for deaths:", *(f"  {line}" for line in map(_death, lineage["deaths"]))]
    lines += ["", *_life(lineage["tokens"], lineage["token"], full)]
    if not lineage["complete"]:
        lines += ["", "It became more tokens than are told here: name one of them with --token."]
    return "\n".join(lines)


def _read(read: Explained, refused: Explained | None) -> list[str]:
    place = "standard input" if read["file"] == "-" else read["file"] or "no file"
    line = f", line {read['line']}" if read["line"] is not None else ""
    lines = [f"Read from {place}{line}, by {read['source']}, at {read['at']}"]
    lines += _values(read["values"], read["kept"])
    lines.append(f"  SHA-256 {read['hash']}")
    if refused:
        there = f"; it went to {refused['destination']}" if refused["destination"] else ""
        lines.append(f"Refused by {refused['source']}: {refused['error']}{there}")
        raw = refused["raw"]
        lines.append(f"  as it stood there: {'no longer kept' if raw is None else one_line(raw)}")
    return lines


def _driver(driver: Explained) -> str:
    head = f"Decided in attempt {driver['attempt']}, by "
    facts = [driver.get(name) for name in ("elspeth", "code_hash", "implementation", "python", "platform")]
    if not all(isinstance(fact, str) for fact in facts):
        return head + "what is not on record"
    version, code, implementation, python, platform = facts
    return f"{head}Elspeth {version} (code {code!s:.12}), {implementation} {python}, {platform}"


def _values(values: Any, kept: str) -> list[str]:
    if values is None:
        return [f"  values: {kept}"]
    if not isinstance(values, dict):
        return [f"  {_plain(values)}"]
    room = min(max(map(len, values), default=0), 30)
    return [f"  {name:<{room}}  {_plain(value)}" for name, value in values.items()]


def _plain(value: Any) -> str:
    return (
        value
        if isinstance(value, str) and value and value == value.strip() and value.isprintable()
        else json.dumps(value, ensure_ascii=False)
    )


def _death(death: Explained) -> str:
    evidence = ", ".join(
        f"{name} {_plain(value)}"
        for name, value in death.items()
        if name not in ("event", "at", "attempt", "deaths", "token")
        and value is not None
        and not (name == "detail" and isinstance(value, int))  # where in its work the process was: for the record alone
        and not (name == "reason" and value == death.get("signal"))
    )
    if death["event"] == "suspect":
        alone = f", after {output.count(death['deaths'], 'death')} alone" if death.get("deaths") else ""
        what = f"suspected of having killed the process that touched it{alone}"
    elif death["event"] == "in_hand":
        what = "it was the one in hand when the whole attempt died"
    else:
        what = "set aside: it killed the process that touched it, alone, time and again"
    return f"{death['at']} (attempt {death['attempt']}) {what}{f': {evidence}' if evidence else ''}"


def _life(life: Explained, focus: str | None, full: bool) -> list[str]:
    lines = []
    waiting = list(life["batches"])
    for number, visit in enumerate(life["passages"], 1):
        for batch in [batch for batch in waiting if batch["node"] == visit["node"]]:
            waiting.remove(batch)
            lines += _batch(batch, focus, full)
        lines += _visit(visit, number, life, full)
    for batch in waiting:
        lines += _batch(batch, focus, full)
    lines += _end(life)
    return lines + _below(life["becomes"], focus, full)


def _below(lives: list[Explained], focus: str | None, full: bool) -> list[str]:
    lines: list[str] = []
    for place, life in enumerate(lives):
        last = place == len(lives) - 1
        here = " (the token asked for)" if life["token"] == focus else ""
        lines.append(("└─ " if last else "├─ ") + output.styled(f"{_born(life)} {life['token']}{here}", "bold"))
        lines += [("   " if last else "│  ") + line for line in _life(life, focus, full)]
    return lines


def _born(life: Explained) -> str:
    match life["how"]:
        case "fork":
            return f"branch {life['token'].rpartition('.')[2]}:"
        case "merge":
            return f"merged from {', '.join(life['parents']) or 'its branches'}:"
        case "batch":
            of = life["parents"]
            if not of or of[0] == life["token"].rpartition("/")[0]:
                return "made of the batch as a whole:"
            return f"made of {', '.join(of[:3])}{' and more' if len(of) > 3 else ''}:"
        case _:
            return f"row {int(life['token'].rpartition('/')[2]) + 1} of those it was expanded to:"


def _visit(visit: Explained, number: int, life: Explained, full: bool) -> list[str]:
    kind = _KINDS.get(visit["kind"] or "", visit["plugin"] or visit["kind"])
    more = f", try {visit['try']}" if visit.get("try", 1) > 1 else ""
    head = f"{number}. {output.styled(visit['node'], 'cyan')} ({kind}{more})"
    if visit["status"] == "refused":
        return [head, f"   refused it: {_error(visit['error'])}", *_went(visit["destination"])]
    lines = [head]
    if "gate" in visit:
        lines += [f"   {line}" for line in _gate(visit)]
    else:
        lines += [f"   {line}" for line in _work(visit, life, full)]
    lines += [f"   {line}" for call in visit["calls"] for line in _call(call)]
    if visit["status"] == "failed":
        lines.append(f"   {output.styled('failed', 'red')}: {_error(visit['error'])}")
        lines += _went(visit.get("refused_to")) if "refused_to" in visit else ["   and was tried again"]
    return lines


def _went(destination: str | None) -> list[str]:
    return [f"   so it went to {destination}"] if destination else []


def _gate(visit: Explained) -> Iterator[str]:
    gate = visit["gate"]
    if gate["values"] is None:
        values = f"its values are {visit['given_kept']}"
    elif gate["values"]:
        values = "with " + ", ".join(f"{name} = {_plain(value)}" for name, value in gate["values"].items())
    else:
        values = "which reads no field that the row has"
    yield f"asked {gate['condition']}, {values}"
    if visit["routes"]:
        answer = json.dumps(gate["answer"], ensure_ascii=False) if gate["answer_kept"] else "no longer kept"
        ways = ", ".join(f"{route['to']} ({route['label']})" for route in visit["routes"])
        yield f"answer: {answer}, so it went to {ways}"


def _work(visit: Explained, life: Explained, full: bool) -> Iterator[str]:
    if visit["returned_hash"] is None:
        if visit["status"] == "completed":
            yield f"returned {output.count(len(life['becomes']) + life.get('left_out', 0), 'row')}: see below"
        else:
            yield f"given {visit['given_kept'] if visit['given'] is None else _plain(visit['given'])}"
        return
    if visit["routes"] and visit["status"] == "completed":
        for route in visit["routes"]:
            yield f"let it go as it was: {_reason(route.get('reason'))}, so it went to {route['to']} ({route['label']})"
    elif not visit["changed"]:
        yield "returned it unchanged"
    elif visit["changes"] is not None:
        touched = {change["field"].partition(".")[0] for change in visit["changes"]}
        left = {name: value for name, value in visit["given"].items() if name not in touched}
        if full:
            yield from (output.styled(f"  {name}: {_plain(value)}", "dim") for name, value in left.items())
        elif left:
            yield output.styled(f"  ({output.count(len(left), 'field')} unchanged)", "dim")
        for change in visit["changes"]:
            yield _change(change)
    else:
        if visit["given"] is None:
            yield f"given {visit['given_kept']}"
        yield "returned"
        yield from _values(visit["returned"], visit["returned_kept"])


def _reason(reason: Any) -> str:
    return str(reason["reason"]) if isinstance(reason, dict) and "reason" in reason else "the reason is no longer kept"


def _change(change: Explained) -> str:
    match change["change"]:
        case "added":
            return output.styled(f"+ {change['field']}: {_plain(change['after'])}", "green")
        case "removed":
            return output.styled(f"- {change['field']}: {_plain(change['before'])}", "red")
        case _:
            words = f"~ {change['field']}: {_plain(change['before'])} -> {_plain(change['after'])}"
            return output.styled(words, "yellow")


_ABOUT_CALL = ("provider", "name", "try", "sent", "ended", "usage", "cost", "model", "finish_reason", "price")
"""What is said of a call in words; everything else of its response is what was answered."""


def _call(call: Explained) -> Iterator[str]:
    took = f", {call['latency_ms']:g} ms" if call["latency_ms"] is not None else ""
    answered = call["response"]
    facts = answered if isinstance(answered, dict) and "provider" in answered else {}
    whom = f" {facts['provider']}" if facts else ""
    number = f", try {facts['try']}" if facts.get("try", 1) > 1 else ""
    yield f"called{whom} ({call['type']}) at {call['at']}: {call['status']}{number}{took}"
    yield f"  asked {_kept(call['request'], call['request_hash'])}"
    # What a model said is said once: the body and its headers are for who reads JSON.
    told = (*_ABOUT_CALL, "body", "headers") if "text" in facts else _ABOUT_CALL
    left = {name: value for name, value in facts.items() if name not in told} if facts else answered
    yield f"  answered {_kept(left, call['response_hash'])}"
    model = [facts[name] for name in ("model", "finish_reason") if facts.get(name)]
    used = facts.get("usage") or {}
    if used:
        model.append(f"{used.get('input_tokens', 0):,} tokens in, {used.get('output_tokens', 0):,} out")
    if facts.get("cost", "0") != "0":
        model.append(f"cost {facts['cost']}")
    if model:
        yield f"  {', '.join(model)}"


def _kept(value: Any, digest: str | None) -> str:
    return _plain(value) if value is not None else f"(not kept; SHA-256 {digest})"


def _error(error: Any) -> str:
    if error is None:
        return "no longer kept"
    if not isinstance(error, dict):
        return str(error)
    facts = {name: value for name, value in error.items() if name not in ("node", "reason")}
    more = ", ".join(f"{name} {_plain(value)}" for name, value in facts.items())
    return f"{error.get('reason', 'no reason given')}{f' ({more})' if more else ''}"


def _batch(batch: Explained, focus: str | None, full: bool) -> list[str]:
    size = f"more than {batch['size']:,}" if batch["size_is_more"] else f"{batch['size']:,}"
    place = f"number {batch['place']:,} of {size}" if batch["place"] else f"one of {size}"
    meets = "@" not in batch["batch"].rpartition("+")[2] and "+" in batch["batch"]
    where = f"for its other branches at {batch['node']}" if meets else f"in batch {batch['batch']} of {batch['node']}"
    lines = [f"Waited {where}, as {place}, from {batch['opened_at']} on"]
    if batch["status"] == "open":
        lines[0] = f"Waits {where} still, as {place}"
    else:
        why = _TIMES.get(batch["trigger"], batch["trigger"])
        lines.append(f"  ended at {batch['closed_at']} because {why}: {batch['status']}")
    lines += _below(batch["gave"], focus, full)
    if batch.get("gave_more"):
        lines.append(f"  and {output.count(batch['gave_more'], 'more row')} of the batch, not told here")
    return lines


def _end(life: Explained) -> list[str]:
    end = life["end"]
    if end is None:
        return ["Has not ended yet."]
    outcome = output.styled(end["outcome"], "red" if end["outcome"] in ("failed", "quarantined") else "green")
    if end["sink"] is not None:
        file = end["file"] or f"sink {end['sink']}"
        lines = [f"Ended: {outcome}, as row {end['sink_row']:,} that this run wrote to {file} (sink {end['sink']})"]
    else:
        lines = [f"Ended: {outcome}{_ways(life)}"]
    if end["error"] is not None:
        lines.append(f"  because: {_error(end['error'])}")
    return lines


def _ways(life: Explained) -> str:
    match life["end"]["outcome"]:
        case "forked" | "expanded" if life.get("left_out"):
            return f"; {output.count(life['left_out'], 'more token')} came of it, not told here"
        case "forked":
            return (
                f" into {output.count(sum(child['how'] == 'fork' for child in life['becomes']), 'branch', 'branches')}"
            )
        case "expanded":
            return f" to {output.count(len(life['becomes']), 'row')}"
        case "coalesced":
            return ": merged with its other branches"
        case "consumed_in_batch":
            return ": what the batch gave stands in its place"
        case _:
            return ""
