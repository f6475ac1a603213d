"""Who came from whom: forks, expansions, pending joins and batches leave records that must fit one another."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator

from tests.kit.oracle.ledger import several

END_OF_PARENT = {".": "forked", "/": "expanded", "+": "coalesced", "@": "consumed_in_batch"}
"""How a parent ended, by the sign that makes the child's id of another's."""


def violations(db: sqlite3.Connection, run_id: str, *, finished: bool) -> Iterator[str]:
    """Every token that does not fit its parents or its children, every batch that does not fit its members."""
    ends = {
        row["token_id"]: row
        for row in db.execute("SELECT * FROM token_outcomes WHERE run_id = ? AND is_terminal = 1", (run_id,))
    }
    parents: dict[str, list[str]] = defaultdict(list)
    children: dict[str, list[str]] = defaultdict(list)
    for child, parent in db.execute(
        "SELECT token_id, parent_token_id FROM token_parents WHERE run_id = ? ORDER BY token_id, ordinal", (run_id,)
    ):
        parents[child].append(parent)
        children[parent].append(child)
    yield from several(list(_tokens(db, run_id, ends, parents)))
    yield from several(list(_forks(db, run_id, ends, children)))
    yield from several(list(_batches(db, run_id, ends, parents, finished=finished)))


def sign(token: str) -> str:
    """The last sign in an id that says how the token came to be; a row's own token has none."""
    tail = token.partition("-")[2]
    at = max(tail.rfind(mark) for mark in "./+")
    if at < 0:
        return ""
    return "@" if tail[at] == "/" and tail.rfind("@") > max(tail.rfind(mark, 0, at) for mark in "./+") else tail[at]


def _tokens(
    db: sqlite3.Connection, run_id: str, ends: dict[str, sqlite3.Row], parents: dict[str, list[str]]
) -> Iterator[str]:
    for token, row in db.execute("SELECT token_id, row_id FROM tokens WHERE run_id = ?", (run_id,)):
        came_by = sign(token)
        if (token == row) != (not parents[token]):
            yield f"token_parents: {token} has {len(parents[token])} parents"
        if came_by in "./" and came_by and parents[token] != [token[: token.rindex(came_by)]]:
            yield f"token_parents: {token} comes from {parents[token]}"
        for parent in parents[token]:
            if came_by == "@" and parents[token] == [token.rpartition("/")[0]]:
                break  # the batch as a whole, of which `_batches` knows the members
            end = ends[parent]["outcome"] if parent in ends else None
            if end != END_OF_PARENT[came_by]:
                yield f"token_outcomes: {parent}, from which {token} came, is {end}"


def _forks(
    db: sqlite3.Connection, run_id: str, ends: dict[str, sqlite3.Row], children: dict[str, list[str]]
) -> Iterator[str]:
    taken: dict[str, list[str]] = defaultdict(list)
    for token, label in db.execute(
        "SELECT s.token_id, e.label FROM routing_events AS r JOIN node_states AS s ON s.state_id = r.state_id"
        " JOIN edges AS e ON e.run_id = r.run_id AND e.edge_id = r.edge_id"
        " WHERE r.run_id = ? AND r.mode = 'copy' ORDER BY r.event_id",
        (run_id,),
    ):
        taken[token].append(label)
    for token, labels in _listed(db, run_id).items():
        if not taken[token]:
            taken[token] = labels
    for token, end in ends.items():
        branches = sorted(child.rpartition(".")[2] for child in children[token])
        if end["outcome"] == "forked" and sorted(taken[token]) != branches:
            yield f"routing_events: {token} was forked to {sorted(taken[token])}, its children are {branches}"
        if end["outcome"] == "coalesced" and len(children[token]) != 1:
            yield f"token_parents: {token} was coalesced into {children[token]}"


def _listed(db: sqlite3.Connection, run_id: str) -> dict[str, list[str]]:
    """The places listed under `on_success` of the step that each token left, which is no gate: nothing was decided."""
    copies: dict[str, list[str]] = defaultdict(list)
    for node, label in db.execute(
        "SELECT from_node_id, label FROM edges AS e JOIN nodes AS n"
        " ON n.run_id = e.run_id AND n.node_id = e.from_node_id"
        " WHERE e.run_id = ? AND e.mode = 'copy' AND n.node_type <> 'gate'",
        (run_id,),
    ):
        copies[node].append(label)
    left = dict(
        db.execute(
            "SELECT t.token_id, r.source_node_id FROM tokens AS t JOIN rows AS r ON r.run_id = t.run_id"
            " AND r.row_id = t.token_id WHERE t.run_id = ?",
            (run_id,),
        ).fetchall()
    )
    states = "SELECT token_id, node_id FROM node_states WHERE run_id = ? ORDER BY token_id, step_index, attempt"
    left |= dict(db.execute(states, (run_id,)).fetchall())
    return {token: copies[node] for token, node in left.items() if node in copies}


def _batches(
    db: sqlite3.Connection, run_id: str, ends: dict[str, sqlite3.Row], parents: dict[str, list[str]], *, finished: bool
) -> Iterator[str]:
    members: dict[str, list[str]] = defaultdict(list)
    for batch, token, ordinal in db.execute(
        "SELECT batch_id, token_id, ordinal FROM batch_members WHERE run_id = ? ORDER BY batch_id, ordinal", (run_id,)
    ):
        if ordinal != len(members[batch]):
            yield f"batch_members: {token} is number {ordinal} of {batch}, behind {len(members[batch])} others"
        members[batch].append(token)
    status = dict(db.execute("SELECT batch_id, status FROM batches WHERE run_id = ?", (run_id,)).fetchall())
    for batch, tokens in members.items():
        if batch not in status:
            if finished or any(token in ends and ends[token]["batch_id"] == batch for token in tokens):
                yield f"batches: {batch} has members that ended, and no record"
            continue
        if "@" in batch and not batch.startswith(f"{tokens[0]}@"):
            yield f"batch_members: {batch} begins with {tokens[0]}"
    for token, end in ends.items():
        if end["outcome"] == "consumed_in_batch" and token not in members[end["batch_id"]]:
            yield f"token_outcomes: {token} was consumed in {end['batch_id']}, where it was not"
    for token, came_from in parents.items():
        batch = token.rpartition("/")[0]
        if sign(token) != "@" or came_from == [batch]:
            continue
        if not set(came_from) <= set(members[batch]):
            yield f"token_parents: {token} does not come from {batch} or members of it"
