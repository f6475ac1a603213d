"""Steps that are for a field which no row can have: they would do nothing, and nobody would notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from elspeth.graph.contracts import otherwise
from elspeth.graph.field_names import field_names
from elspeth.graph.flows import arriving
from elspeth.graph.model import Graph
from elspeth.plugins.contract import Changes
from elspeth.settings.problems import suggest


def idle_steps(graph: Graph, plugins: Mapping[str, object], headers: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A sentence for each field that a step is for (`Changes.fields_wanted`) and no row has that reaches it.

    Fields without which the step refuses a row are problems, and left to `check_contracts`.
    """
    names = field_names(graph, plugins, headers)
    for node_id, flows in arriving(graph, plugins, headers).items():
        plugin = plugins.get(node_id)
        if not isinstance(plugin, Changes) or not flows:
            continue
        called = names.get(node_id, {})
        for field in sorted(plugin.fields_wanted() - plugin.fields_in()):
            if all(flow.lacks(called.get(field, field)) for flow in flows):
                has = sorted(frozenset().union(*(flow.possible or () for flow in flows)))
                meant = suggest(field, has)
                words = otherwise(field, dict.fromkeys(has, "")) or (f" (did you mean {meant!r}?)" if meant else "")
                yield f"No row that reaches {node_id} will have {field!r}, so it does nothing about it{words}."
