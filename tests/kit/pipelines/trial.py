"""Folders with a pipeline in them whose rows say what they do to the process that touches them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.kit.oracle.checker import check
from tests.kit.processes.tree import DATABASE, outputs, run_of

PLUGINS = Path(__file__).with_name("trial_plugins.py")


def settings(
    *, delay: float = 0.0, workers: int = 2, ordered: bool = False, sink: str = "csv", **supervisor: Any
) -> dict[str, Any]:
    """A transform, a gate, three outputs; with `ordered` an aggregation, hence a stage that sees all rows in order."""
    value: dict[str, Any] = {
        "plugins": [str(PLUGINS)],
        "source": {
            "plugin": "csv",
            "options": {"path": "input.csv", "schema": {"mode": "strict", "fields": ["id: int", "act: str?"]}},
        },
        "transforms": [{"plugin": "trial", "options": {"delay": delay}, "on_error": "bad"}],
        "gates": [
            {"name": "third", "condition": "row['id'] % 3 == 0", "routes": {"true": "high", "false": "continue"}}
        ],
        "sinks": {
            name: {"plugin": sink if name == "low" else "csv", "options": {"path": f"output/{name}.csv"}}
            for name in ("low", "high", "bad")
        },
        "default_sink": "low",
        "checkpoint": {"frequency": "every_n", "checkpoint_interval": 20},
        "concurrency": {"max_workers": workers},
        "supervisor": {"max_restarts": 10, "hang_timeout_seconds": 30.0, **supervisor},
    }
    value["sinks"]["low"]["on_write_failure"] = "bad"
    if ordered:
        value["aggregations"] = [
            {"name": "batch", "plugin": "trial_batch", "trigger": {"count": 7}, "output_mode": "passthrough"}
        ]
    return value


def lay(folder: Path, rows: int, value: dict[str, Any], acts: Mapping[int, str] | None = None) -> Path:
    """Write settings and input into a new folder; `acts` says which rows do what."""
    folder.mkdir(parents=True, exist_ok=True)
    told = acts or {}
    lines = [f"{row},{told.get(row, '-')}" for row in range(rows)]
    (folder / "input.csv").write_text("id,act\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return folder


def violations(folder: Path, *, poisoned: tuple[int, ...] = (), recompute: bool = True) -> list[str]:
    """What the independent checker finds wrong with the folder's finished run."""
    return check(
        folder / "pipeline.yaml", folder / DATABASE, run_of(folder)[0], working_directory=folder, recompute=recompute,
        transforms={"trial": lambda options, row: {**row, "twice": 2 * row["id"]}}, poisoned=poisoned,
    )  # fmt: skip


__all__ = ["lay", "outputs", "settings", "violations"]
