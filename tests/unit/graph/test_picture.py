"""A graph can be read on a terminal and drawn by Mermaid."""

from __future__ import annotations

from elspeth.graph.picture import mermaid, text
from tests.kit.pipelines.graphs import graph_of
from tests.unit.graph.test_build import DIAMOND, THRESHOLD


def test_the_terminal_picture_shows_steps_from_the_source_down_and_where_ways_lead() -> None:
    assert (
        text(graph_of(THRESHOLD), {"amount_threshold:true": 3, "amount_threshold:false": 1005}, width=64)
        == """\
source  csv
  ├─ error ─> quarantine (csv)                       0
  │                                                  0
field_mapper_1  field_mapper
  ├─ error ─> quarantine (csv)                       0
  │                                                  0
amount_threshold  row['amount'] > 1000
  ├─ true ──> high_values (csv)                      3
  └─ false ─> output (csv)                       1,005

output  csv
  └─ error ─> quarantine (csv)                       0
"""
    )


def test_a_fork_and_its_meeting_are_both_visible() -> None:
    assert (
        text(graph_of(DIAMOND))
        == """\
source  csv
  │
split  True
  ├─ left ──> shout
  └─ right ─> merge

shout  value_transform
  │
merge  left, right: require_all, union
  └──> output (csv)
"""
    )


def test_no_line_is_wider_than_the_terminal() -> None:
    graph = graph_of(THRESHOLD.replace("row['amount'] > 1000", "row['amount'] > 1000 and " * 20 + "True"))
    for counts in (None, {"source:continue": 10**9}):
        assert max(map(len, text(graph, counts, width=40).splitlines())) <= 40


def test_mermaid_names_every_node_and_edge_and_quotes_what_would_break_it() -> None:
    drawn = mermaid(graph_of(THRESHOLD), {"amount_threshold:true": 1234})
    assert drawn.startswith("flowchart TD\n")
    assert "    n2{\"amount_threshold<br/>row['amount'] #gt; 1000\"}\n" in drawn
    assert '    n2 -->|"true · 1,234"| n4\n' in drawn
    assert '    n0 -.->|"error · 0"| n5\n' in drawn
    assert "    n0 --> n1\n" in mermaid(graph_of(THRESHOLD))


def test_mermaid_draws_discard_where_something_leads_there() -> None:
    assert "discard" not in mermaid(graph_of(DIAMOND))
    assert '    discard(("discard"))\n' in mermaid(
        graph_of(THRESHOLD.replace("on_error: quarantine", "on_error: discard"))
    )
