"""Random pipelines with random data: every kind of step, wired by named connections, from a seed."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import yaml

Document = dict[str, Any]

CONDITIONS = (
    "row.get('a', 0) > 2",
    "row.get('b', 0) % 2 == 0",
    "row['a'] >= row['b']",
    "row.get('t') in ['x', 'y']",
    "row.get('item', 1) == 1 or row.get('b', 0) > 3",
)
EXPRESSIONS = (
    "row.get('a', 0) + 1",
    "row['a'] - row['b']",
    "row.get('b', 0) / 2",
    "row['t']",
    "100 // row.get('b', 1)",
)


class Generator:
    """Makes one settings document. That every way ends in a sink is so by construction."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.counts: dict[str, int] = {}
        self.sinks: list[str] = []
        self.document: Document = {"transforms": [], "aggregations": [], "gates": [], "coalesce": []}

    def name(self, stem: str) -> str:
        self.counts[stem] = self.counts.get(stem, 0) + 1
        return f"{stem}{self.counts[stem]}"

    def sink(self) -> str:
        if len(self.sinks) < 6 and (not self.sinks or self.rng.random() < 0.4):
            self.sinks.append(self.name("sink"))
        return self.rng.choice(self.sinks)

    def ways_of_errors(self) -> dict[str, str]:
        drawn = self.rng.random()
        if drawn < 0.3:
            return {}
        return {"on_error": "discard" if drawn < 0.5 else self.sink()}

    # -- steps: each is fed by a connection and answers the one behind it ---------------------------------------------

    def chain(self, connection: str, length: int, *, forked: bool, depth: int) -> str:
        for _ in range(length):
            kinds = ["transform", "transform", "gate", "passthrough"]
            kinds += [] if forked else ["batch", "explode"]
            kinds += ["fork", "fork"] if depth < 2 else []
            connection = getattr(self, self.rng.choice(kinds))(connection, depth, forked)
        return connection

    def step(self, kind: str, stem: str, connection: str, **more: Any) -> str:
        behind = self.name("c")
        self.document[kind].append(
            {"name": self.name(stem), "input": connection, "on_success": behind, **self.ways_of_errors(), **more}
        )
        return behind

    def transform(self, connection: str, depth: int, forked: bool) -> str:
        target = self.rng.choice(["a", "b", "new", "other"])
        plugin, options = self.rng.choice([
            ("passthrough", {}),
            ("value_transform", {"operations": [{"target": target, "expression": self.rng.choice(EXPRESSIONS)}]}),
            ("field_mapper", {"mapping": {"t": "text"}}),
            ("keyword_filter", {"fields": ["t"], "blocked_patterns": ["z"]}),
        ])  # fmt: skip
        return self.step("transforms", "step", connection, plugin=plugin, options=options)

    def gate(self, connection: str, depth: int, forked: bool) -> str:
        drawn = self.rng.random()
        away = self.sink() if drawn < 0.6 else "discard"
        behind = self.name("c")
        gate = {"name": self.name("gate"), "input": connection, **self.ways_of_errors()}
        if drawn < 0.2:  # both ways lead on, one past a further step: a connection that two steps feed
            away = self.name("c")
            self.document["transforms"].append(
                {"name": self.name("step"), "plugin": "value_transform", "input": away, "on_success": behind,
                 "options": {"operations": [{"target": "detour", "expression": "1"}]}}
            )  # fmt: skip
        routes = [away, self.rng.choice(["continue", behind])]
        self.rng.shuffle(routes)
        if "continue" in routes:
            gate["on_success"] = behind
        gate |= {"condition": self.rng.choice(CONDITIONS), "routes": dict(zip(("true", "false"), routes, strict=True))}
        self.document["gates"].append(gate)
        return behind

    def explode(self, connection: str, depth: int, forked: bool) -> str:
        options = {"array_field": "items"}
        return self.step("transforms", "explode", connection, plugin="json_explode", options=options)

    def trigger(self) -> dict[str, Any]:
        return self.rng.choice([
            {"count": self.rng.randint(1, 7)},
            {"condition": "row['b'] == 3"},
            {"count": 6, "condition": "row.get('a', 0) > 4"},
            {},
        ])  # fmt: skip

    def passthrough(self, connection: str, depth: int, forked: bool) -> str:
        return self.step(
            "aggregations", "hold", connection, plugin="batch_replicate", trigger=self.trigger(),
            output_mode="passthrough", options={"include_copy_index": False, "copies_field": "copies"},
        )  # fmt: skip

    def batch(self, connection: str, depth: int, forked: bool) -> str:
        if self.rng.random() < 0.5:
            plugin, options = "batch_replicate", {"copies_field": "b", "max_copies": 4}
        else:
            plugin, options = "batch_stats", {"value_field": "b", "group_by": self.rng.choice(["t", "a"])}
        more = {"expected_output_count": 2} if self.rng.random() < 0.2 else {}
        return self.step("aggregations", "batch", connection, plugin=plugin, trigger=self.trigger(), options=options,
                         output_mode="transform", **more)  # fmt: skip

    def fork(self, connection: str, depth: int, forked: bool) -> str:
        branches = [self.name("branch") for _ in range(self.rng.randint(2, 3))]
        behind = self.name("c")
        routes = ["fork", self.rng.choice(["discard", self.sink(), "fork"])]
        fork_to = [*branches, self.sink()] if self.rng.random() < 0.3 else branches
        self.document["gates"].append(
            {"name": self.name("fork"), "input": connection, "condition": self.rng.choice(CONDITIONS),
             "routes": dict(zip(("true", "false"), routes, strict=True)), "fork_to": fork_to, **self.ways_of_errors()}
        )  # fmt: skip
        ends = {branch: self.chain(branch, self.rng.randint(0, 2), forked=True, depth=depth + 1) for branch in branches}
        policy = self.rng.choice(["require_all", "quorum", "best_effort", "first"])
        merge = self.rng.choice(["union", "union", "nested", "select"])
        coalesce: Document = {"name": self.name("meet"), "branches": ends, "policy": policy, "merge": merge}
        if policy == "quorum":
            coalesce["quorum_count"] = self.rng.randint(1, len(branches))
        if merge == "select":
            coalesce["select_branch"] = self.rng.choice(branches)
        if merge == "union":
            coalesce["union_collision_policy"] = self.rng.choice(["last_wins", "first_wins", "fail"])
        self.document["coalesce"].append({**coalesce, "on_success": behind, **self.ways_of_errors()})
        return behind


def rows_of(rng: Random, count: int) -> list[dict[str, Any]]:
    """Rows as a source would read them; some lack a field or hold what no step expects."""
    rows = []
    for number in range(count):
        row: dict[str, Any] = {"id": number, "a": rng.randint(-2, 6), "b": rng.randint(0, 5), "t": rng.choice("xyz")}
        drawn = rng.random()
        if drawn < 0.08:
            del row[rng.choice(["a", "b", "t"])]
        elif drawn < 0.14:
            row[rng.choice(["a", "b"])] = rng.choice([None, "much", 2.5, True, [1]])
        elif drawn < 0.18:
            row["id"] = "none"
        if rng.random() < 0.6:
            row["items"] = [rng.randint(0, 2) for _ in range(rng.randint(0, 3))]
        rows.append(row)
    return rows


def pipeline(seed: int, *, rows: int = 30) -> tuple[Document, dict[str, list[dict[str, Any]]]]:
    """A settings document, without the paths of its files, and the rows of each source."""
    rng = Random(seed)
    made = Generator(rng)
    names = ["north", "south"][: rng.randint(1, 2)]
    inbound = made.name("c")
    end = made.chain(inbound, rng.randint(1, 5), forked=False, depth=0)
    document = made.document
    sources = {}
    for name in names:
        failure = rng.choice([made.sink(), "discard"])
        options = {"schema": {"mode": "free", "fields": ["id: int"]}, "on_validation_failure": failure}
        sources[name] = {"plugin": "json", "on_success": inbound, "options": options}
    last = made.sink()
    by_default = rng.random() < 0.5
    for kind in ("transforms", "aggregations", "gates", "coalesce"):
        for step in document[kind]:
            if step.get("on_success") == end:
                if by_default:
                    del step["on_success"]
                else:
                    step["on_success"] = last
            if end in step.get("routes", {}).values():
                step["routes"] = {label: last if to == end else to for label, to in step["routes"].items()}
    if by_default:
        document["default_sink"] = last
    document["sources"] = sources
    document["queues"] = [inbound]
    used = json.dumps(document)
    document["sinks"] = {name: {"plugin": "json"} for name in made.sinks if f'"{name}"' in used}
    inputs = {name: rows_of(rng, rng.randint(0, rows)) for name in names}
    return {key: value for key, value in document.items() if value}, inputs


def place(document: Document, inputs: dict[str, list[dict[str, Any]]], folder: Path) -> Path:
    """Write the pipeline and its inputs into a folder; answers the settings file."""
    for name, source in document["sources"].items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in inputs[name]))
        source["options"]["path"] = str(path)
    for name, sink in document["sinks"].items():
        sink["options"] = {"path": str(folder / "output" / f"{name}.jsonl")}
    document["landscape"] = {"url": f"sqlite:///{folder}/runs/audit.db"}
    document["payload_store"] = {"base_path": str(folder / "state" / "payloads")}
    settings = folder / "pipeline.yaml"
    settings.write_text(yaml.safe_dump(document, sort_keys=False))
    return settings
