"""The lineage of one row, from the records: as it was read, what became of it, and where each part of it ended.

Everything is asked by key, so that a lineage takes no longer in a large database than in a small one: ids are derived
from the row's id, so what belongs to a token lies in one range of each table. The lineage is plain data, as `--json`
prints it.
"""

from __future__ import annotations

import re
from typing import Any

from elspeth import ids
from elspeth.audit.chain.texts import original
from elspeth.audit.connection import Connection
from elspeth.audit.explain.node_visits import UNKNOWN, NodeVisits, parsed
from elspeth.audit.explain.payload_reader import Explained, PayloadReader, bases_of
from elspeth.audit.store.attempts.caution_events import IN_HAND
from elspeth.errors import ElspethError
from elspeth.outputs import sink_states

MOST_TOKENS = 500
"""Tokens shown in one lineage; a row can become many."""

MOST_MEMBERS = 1000
"""Members of a batch counted one by one."""

NAMED = 20

_PURGES = 'SELECT created_at, "user", reason FROM operator_actions WHERE action_id >= ? AND action_id < ? LIMIT 1'


class Lineage:
    """Tells the stories of rows of one run. `connection` is open for reading; `run` is the exact id."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._connection = connection
        self.run = run
        row = self._one(
            "SELECT status, settings_json, working_directory, completed_at FROM runs WHERE run_id = ?", (run,)
        )
        self._status, settings, self._directory, self._completed_at = row
        purged = self._one(_PURGES, (f"{run}!purge.", f"{run}!purge/"))
        self._purged = None if purged is None else {"at": purged[0], "user": purged[1], "reason": purged[2]}
        self.contents = PayloadReader(bases_of(settings, self._directory), purged=purged is not None)
        self._nodes = self._by_id("nodes", "node_id", "plugin_name", "node_type", "plugin_version", "determinism",
                                  "config_json")  # fmt: skip
        self._edges = self._by_id("edges", "edge_id", "to_node_id", "label")
        self._visits = NodeVisits(connection, self.contents, self._nodes, self._edges)
        self._shown: set[str] = set()
        self._focus = ""
        self._files: dict[str, str | None] = {}

    def row(self, index: int) -> Explained:
        """The story of the row with this index. Raises `ElspethError` if there is none."""
        return self._lineage(ids.row_id(self.run, index), None)

    def token(self, token: str) -> Explained:
        """The story of a token: what it came from, and what became of it. Raises `ElspethError` if there is none."""
        if not token.startswith(f"{self.run}-") or not self._one("SELECT 1 FROM tokens WHERE token_id = ?", (token,)):
            raise ElspethError(
                f"there is no token {token!r} in run {self.run}",
                next_step=f"elspeth explain --run {self.run} --row 0  (shows what tokens look like)",
            )
        return self._lineage(self._origin(token), token)

    # -- the lineage ------------------------------------------------------------------------------------------

    def _lineage(self, row_id: str, focus: str | None) -> Explained:
        record = self._one(
            "SELECT row_index, source_node_id, source_data_hash, source_data, source_data_ref, line, created_at,"
            " commit_no FROM rows WHERE row_id = ?",
            (row_id,),
        )
        if record is None:
            raise self._no_row(row_id)
        index, source, digest, data, reference, line, at, commit_no = record
        content = self.contents.read(data, reference)
        self._shown, self._focus = set(), focus or ""
        tree = self._tree(row_id, content)
        if focus is not None:
            tree = _towards(tree, focus) if _holds(tree, focus) else self._tree(focus, UNKNOWN)
        return {
            "run_id": self.run,
            "run_status": self._status,
            "row": index,
            "row_id": row_id,
            "token": focus,
            "read": {
                "source": source, "file": self._read_from(source, index), "line": line, "values": content["values"],
                "kept": content["kept"], "hash": digest, "at": at, "commit": commit_no,
            },
            "driven_by": self._drivers(row_id),
            "refused": self._refused(row_id),
            "deaths": self._deaths(index),
            "purged": self._purged,
            "tokens": tree,
            "complete": len(self._shown) < MOST_TOKENS,
        }  # fmt: skip

    def _drivers(self, row_id: str) -> list[Explained]:
        """What drove the attempts that recorded something of this row, in order."""
        of_row = " UNION ".join(
            f"SELECT commit_no FROM {table} WHERE {key} >= ?1 AND {key} < ?1 || '~'"
            for table, key in (("rows", "row_id"), ("node_states", "state_id"), ("token_outcomes", "outcome_id"))
        )
        found = []
        for (attempt,) in self._connection.execute(
            f"SELECT DISTINCT attempt FROM commits WHERE run_id = ?2 AND commit_no IN ({of_row}) ORDER BY 1",
            (row_id, self.run),
        ).fetchall():
            detail = self._one(
                "SELECT detail FROM supervision_events WHERE event_id = ?", (ids.event_id(self.run, attempt, "driver"),)
            )
            facts = parsed(detail[0]) if detail else None
            found.append({"attempt": attempt, **(facts if isinstance(facts, dict) else {})})
        return found

    def _refused(self, row_id: str) -> Explained | None:
        found = self._one(
            "SELECT node_id, error, raw_data, line, destination FROM validation_errors WHERE error_id = ?",
            (f"{row_id}!",),
        )
        if found is None:
            return None
        source, error, raw, line, destination = found
        told = original(error), None if raw is None else original(raw)
        return {"source": source, "error": told[0], "raw": told[1], "line": line, "destination": destination}

    def _deaths(self, index: int) -> list[Explained]:
        """When the row was suspected of killing, or convicted of having killed, the process that touched it.

        Where it was in hand when a whole attempt died, `attempt` is that one.
        """
        deaths = []
        attempts = self._connection.execute("SELECT attempt FROM run_attempts WHERE run_id = ?", (self.run,)).fetchall()
        for (attempt,) in attempts:
            start = ids.event_id(self.run, attempt, "")
            for event, detail, at in self._connection.execute(
                "SELECT event, detail, at FROM supervision_events WHERE event_id >= ? AND event_id < ?"
                " AND event IN ('suspect', 'quarantined')"
                " UNION ALL SELECT event, detail, at FROM supervision_events WHERE event_id = ? ORDER BY at",
                (f"{start}0", f"{start}:", f"{start}{IN_HAND}"),
            ):
                facts = parsed(detail)
                if isinstance(facts, dict) and facts.get("row_index") == index:
                    del facts["row_index"]
                    deaths.append({"event": event, "at": at, "attempt": attempt, **facts})
        return deaths

    # -- tokens ------------------------------------------------------------------------------------------------

    def _tree(self, root: str, content: Explained) -> Explained:
        """The token with everything that it became, within this row."""
        below = [root]
        for (token,) in self._connection.execute(
            "SELECT token_id FROM tokens WHERE token_id >= ? AND token_id < ? ORDER BY token_id LIMIT ?",
            (f"{root}+", f"{root}0", MOST_TOKENS),
        ):
            below.append(token)
        parents = {token: self._parents(token) for token in below[1:]}
        if _how(root) == "batch":
            parents[root] = self._parents(root)
        children: dict[str, list[str]] = {}
        for token in below[1:]:
            children.setdefault(_above(token, parents[token]), []).append(token)
        ends: dict[str, Explained] = {}
        return self._life(root, content, children, parents, ends)

    def _life(
        self, token: str, content: Explained, children: dict[str, list[str]], parents: dict[str, list[str]],
        ends: dict[str, Explained],
    ) -> Explained:  # fmt: skip
        self._shown.add(token)
        visits, ends[token] = self._visits.of(token, content)
        life: Explained = {
            "token": token,
            "how": _how(token),
            "parents": parents.get(token, []),
            "passages": visits,
            "batches": [],
            "end": None,
            "becomes": [],
        }
        self._outcome(token, life)
        # Merges last: what they are made of is known by then.
        for child in sorted(children.get(token, ()), key=lambda child: (_how(child) == "merge", child)):
            origin = ends[token] if _how(child) != "merge" else ends.get(parents[child][0] if parents[child] else "")
            life["becomes"].append(self._life(child, origin or UNKNOWN, children, parents, ends))
        return life

    def _outcome(self, token: str, life: Explained) -> None:
        for outcome, terminal, sink, row, batch, error, at in self._connection.execute(
            "SELECT outcome, is_terminal, sink_name, sink_row, batch_id, error_json, recorded_at FROM token_outcomes"
            " WHERE outcome_id = ? OR (outcome_id >= ? AND outcome_id < ?) ORDER BY outcome_id",
            (f"{token}=", f"{token}~", f"{token}~~"),
        ):
            if batch is not None and batch not in [render["batch"] for render in life["batches"]]:
                life["batches"].append(self._batch(batch, token, consumed=outcome == "consumed_in_batch"))
            if terminal:
                file = self._file("output", sink) if sink else None
                life["end"] = {"outcome": outcome, "sink": sink, "file": file, "sink_row": row,
                               "error": parsed(error), "at": at}  # fmt: skip

    def _batch(self, batch: str, token: str, *, consumed: bool) -> Explained:
        record = self._one(
            "SELECT node_id, trigger_type, status, created_at, completed_at FROM batches WHERE batch_id = ?", (batch,)
        )
        place = self._one("SELECT ordinal FROM batch_members WHERE batch_id = ? AND token_id = ?", (batch, token))
        (count,) = self._one(
            "SELECT count(*) FROM (SELECT 1 FROM batch_members WHERE batch_id = ? LIMIT ?) AS m",
            (batch, MOST_MEMBERS + 1),
        )
        facts = record or (batch.rpartition("@")[2], None, "open", None, None)
        products: list[Explained] = []
        untold = 0
        for product in self._products(batch, token) if consumed else ():
            if product in self._shown:
                continue
            asked_for = self._focus == product or self._focus.startswith((f"{product}.", f"{product}/", f"{product}+"))
            if len(self._shown) < MOST_TOKENS and (len(products) < NAMED or asked_for):
                products.append(self._tree(product, {"values": None, "kept": f"the tokens of batch {batch}"}))
            else:
                untold += 1
        return {
            "batch": batch,
            **dict(zip(("node", "trigger", "status", "opened_at", "closed_at"), facts, strict=True)),
            "place": None if place is None else place[0] + 1,
            "size": min(count, MOST_MEMBERS),
            "size_is_more": count > MOST_MEMBERS,
            "gave": products,
            "gave_more": untold,
        }

    def _products(self, batch: str, token: str) -> list[str]:
        """What the batch gave that was made of this token, or, where nobody can say of whom, of the batch."""
        linked = self._connection.execute(
            "SELECT token_id FROM token_parents WHERE token_id >= ? AND token_id < ? AND parent_token_id IN (?, ?)",
            (f"{batch}/", f"{batch}0", token, batch),
        )
        direct = [product for (product,) in linked if product.removeprefix(f"{batch}/").isdigit()]
        return sorted(direct, key=lambda product: int(product.removeprefix(f"{batch}/")))

    def _origin(self, token: str) -> str:
        """A row that a token came of: where it came of a batch, one of the rows it was made of."""
        while "@" in token:
            batch, _, rest = token.rpartition("@")
            product = f"{batch}@{rest[: re.search('/[0-9]+', rest).end()]}"  # type: ignore[union-attr]
            parents = self._parents(product)
            token = parents[0] if parents and parents[0] != product.rpartition("/")[0] else batch
        return _row_of(token)

    def _parents(self, token: str) -> list[str]:
        found = self._connection.execute(
            "SELECT parent_token_id FROM token_parents WHERE token_id = ? ORDER BY ordinal LIMIT ?", (token, NAMED)
        )
        return [parent for (parent,) in found]

    # -- places ------------------------------------------------------------------------------------------------

    def _file(self, kind: str, node_id: str) -> str | None:
        """Where a source read or a sink wrote: as recorded at the end, in the last checkpoint, or in the settings."""
        key = f"{self.run}!{kind}.{node_id}"
        if key not in self._files:
            self._files[key] = self._found_file(key, kind, node_id)
        return self._files[key]

    def _read_from(self, source: str, index: int) -> str | None:
        return self._file_of_row(source, index) or self._file("input", source)

    def _file_of_row(self, source: str, index: int) -> str | None:
        """The file in which a row stood, where its source reads many: the last that was begun up to this row."""
        begun: dict[int, str] = {}
        for (text,) in self._connection.execute(
            "SELECT detail FROM supervision_events WHERE event_id >= ? AND event_id < ? AND event = 'file'",
            (f"{self.run}!", f"{self.run}~"),
        ):
            detail = parsed(text)
            if isinstance(detail, dict) and detail.get("source") == source and detail["row"] <= index:
                begun[detail["row"]] = detail["file"]
        return begun[max(begun)] if begun else None

    def _found_file(self, key: str, kind: str, node_id: str) -> str | None:
        artifact = self._one("SELECT path FROM artifacts WHERE artifact_id = ?", (key,))
        if artifact is not None:
            return str(artifact[0])
        if kind == "output":
            # Only where a run has not ended, since reading checkpoints takes imports that no other answer needs.
            from elspeth.coordinator.checkpoint import read_checkpoint

            newest = self._one(
                "SELECT message, checkpoint_id FROM checkpoints WHERE checkpoint_id > ? AND checkpoint_id < ?"
                " ORDER BY checkpoint_id DESC LIMIT 1",
                (f"{self.run}#", f"{self.run}$"),
            )
            state = sink_states(read_checkpoint(*newest).sink_positions).get(node_id) if newest else None
            if state is not None and state.output.path is not None:
                return state.output.path
        config = parsed(self._nodes.get(node_id, {}).get("config_json"))
        path = config.get("options", {}).get("path") if isinstance(config, dict) else None
        return None if path is None else ", ".join(map(str, path)) if isinstance(path, list) else str(path)

    # -- the database ------------------------------------------------------------------------------------------

    def _one(self, query: str, values: tuple[Any, ...]) -> Any:
        return self._connection.execute(query, values).fetchone()

    def _by_id(self, table: str, key: str, *columns: str) -> dict[str, Explained]:
        query = f"SELECT {key}, {', '.join(columns)} FROM {table} WHERE run_id = ?"
        return {
            row[0]: dict(zip(columns, row[1:], strict=True)) for row in self._connection.execute(query, (self.run,))
        }

    def _no_row(self, row_id: str) -> ElspethError:
        last = self._one(
            "SELECT row_index FROM rows WHERE row_id >= ? AND row_id < ? ORDER BY row_id DESC LIMIT 1",
            (self.run, f"{self.run}~"),
        )
        removed = self._one(_PURGES, (f"{self.run}!remove.", f"{self.run}!remove/"))
        if removed is not None:
            why = f": {removed[2]}" if removed[2] else ""
            return ElspethError(
                f"the rows of run {self.run} are no longer kept",
                details=[f"everything about them was removed at {removed[0]} by {removed[1]}{why}"],
                next_step=f"elspeth status {self.run}",
            )
        recorded = "it has no rows" if last is None else f"it has rows 0 to {last[0]}"
        return ElspethError(
            f"there is no row {int(row_id.partition('-')[2])} in run {self.run}",
            details=[recorded, *([] if self._completed_at else [f"the run is {self._status}: more may come"])],
            next_step=f"elspeth explain --run {self.run} --where FIELD=VALUE  (finds rows by content)",
        )


def _row_of(token: str) -> str:
    """The row in whose story a token stands: what its id begins with."""
    return token[: next((at for at, letter in enumerate(token) if letter in "./+@"), len(token))]


def _how(token: str) -> str:
    """How a token came into being, as its id says."""
    ending = max("./+", key=token.rfind)
    at = token.rfind(ending)
    if at < 0:
        return "read"
    if ending == "/":
        return "batch" if token.rfind("@") > max(token.rfind(other, 0, at) for other in "./+") else "expand"
    return "fork" if ending == "." else "merge"


def _above(token: str, parents: list[str]) -> str:
    """The token below which another is told: of a merge, the one whose branches met."""
    if _how(token) == "merge":
        return token[: token.rfind("+")]
    return parents[0] if parents else token[: max(map(token.rfind, "./"))]


def _towards(life: Explained, focus: str) -> Explained:
    """The same tree, with only what leads to a token and what became of it; `left_out` counts the rest."""
    if life["token"] == focus:
        return life
    merged = {parent for child in life["becomes"] if _holds(child, focus) for parent in child["parents"]}
    kept = [
        _towards(child, focus) if _holds(child, focus) else child
        for child in life["becomes"]
        # What branches are merged to stands beside them, not below.
        if _holds(child, focus) or focus in child["parents"] or child["token"] in merged
    ]
    batches = [
        {**batch, "gave": [_towards(child, focus) for child in batch["gave"] if _holds(child, focus)]}
        for batch in life["batches"]
    ]
    return {**life, "becomes": kept, "batches": batches, "left_out": len(life["becomes"]) - len(kept)}


def _holds(life: Explained, focus: str) -> bool:
    below = [*life["becomes"], *(child for batch in life["batches"] for child in batch["gave"])]
    return life["token"] == focus or any(_holds(child, focus) for child in below)
