"""Metrics as text, and everything that speaks of them: the page, the alerts and the dashboard name what there is."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import yaml

from elspeth.calls.totals import CallTotals
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition
from elspeth.coordinator.reporting.observer import ProviderState
from elspeth.coordinator.tally import NodeTally, Numbers, Tally
from elspeth.runs.telemetry.metrics import PREFIX, Labels, Reading, families, text
from tests.docs.repository import ROOT, text_of

MONITORING = ROOT / "ops" / "monitoring"
READING = Reading(
    Labels('a "b"\\\n', "mf3k2a9x", 2, "0.1.0"),
    Numbers.of(["source", "gate"], ["source:on", "gate:true"]),
    Checkpoint(
        micro_batch=3, row_count=10, source_positions={"source": SourcePosition(row_count=10)}, sink_positions={},
        stage_states={}, outcome_counts={"completed": 7, "quarantined": 3}, written_counts={"out": 7},
        call_totals={"main": CallTotals(5, 4, 1, 100, 20, Decimal("0.25"))},
        tally=Tally({0: NodeTally(10, 3, 1_500_000, 7), 1: NodeTally(10)}, {1: 10}, 10),
    ),
    started_at=1.5, committed_at=2.5, rows_read=12, rows_decided=11, commits=2, commit_seconds=0.5, restarts=1,
    currency="EUR", providers={"main": ProviderState(3, 2, open=True)},
)  # fmt: skip
NAMES = {PREFIX + family.name: family for family in families(READING)}


def test_every_number_is_there_with_its_labels() -> None:
    lines = {line.partition("{")[0]: line for line in text(READING).splitlines() if not line.startswith("#")}
    pipeline = 'pipeline="a \\"b\\"\\\\\\n"'
    assert lines["elspeth_rows_durable_total"] == f"elspeth_rows_durable_total{{{pipeline}}} 10"
    assert lines["elspeth_node_seconds_total"] == f'elspeth_node_seconds_total{{{pipeline},node="source"}} 0.0'
    assert f'elspeth_node_seconds_total{{{pipeline},node="gate"}} 1.5' in text(READING)
    assert lines["elspeth_call_cost_total"].endswith('provider="main",currency="EUR"} 0.25')
    assert lines["elspeth_calls_waiting"].endswith(" 3")
    assert lines["elspeth_breaker_open"].endswith(" 1")
    assert 'elspeth_edge_tokens_total{pipeline="a \\"b\\"\\\\\\n",edge="source:on"} 10' in text(READING)
    assert set(lines) == set(NAMES)


def test_each_metric_has_a_meaning_and_a_kind_that_its_name_says() -> None:
    for name, family in NAMES.items():
        assert family.meaning.endswith(".")
        assert (family.kind == "counter") == name.endswith("_total")
        assert text(READING).count(f"# TYPE {name} {family.kind}\n") == 1


def test_the_page_lists_every_metric_with_its_labels_and_meaning() -> None:
    page = text_of(ROOT / "ops" / "docs" / "reference" / "telemetry.md")
    listed = re.findall(r"^\| `(elspeth_\w+)` \| (\w+) \| (.*?) \| (.+) \|$", page, re.M)
    expected = [
        (name, family.kind, ", ".join(f"`{label}`" for label in family.samples[0].labels), family.meaning)
        for name, family in NAMES.items()
    ]
    assert listed == expected


def test_alerts_and_dashboard_name_metrics_and_labels_that_there_are() -> None:
    rules = yaml.safe_load(text_of(MONITORING / "alerts.yml"))["groups"][0]["rules"]
    board = json.loads(text_of(MONITORING / "dashboard.json"))
    asked = [rule["expr"] for rule in rules] + [each["expr"] for panel in board["panels"] for each in panel["targets"]]
    named = {name for query in asked for name in re.findall(r"elspeth_\w+", query)}
    assert named <= set(NAMES)
    left = set(NAMES) - named
    assert left == {"elspeth_run_start_timestamp_seconds", "elspeth_node_visits_total"}
    assert "ElspethNoCommit" in [rule["alert"] for rule in rules]
