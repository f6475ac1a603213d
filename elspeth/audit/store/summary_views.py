"""Views that answer what people ask first: how runs went, why rows were refused, and what happened to one row.

They are made of the tables that people read, and nothing of Elspeth's own depends on them. What belongs to a run or a
row is found by the range of its keys: every id begins with the id of what it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "run_summary": (
        "run_id", "status", "started_at", "completed_at", "attempts", "settings_path", "rows", "ended", "written",
        "set_aside", "failure",
    ),
    "failures_by_reason": ("run_id", "node_id", "reason", "tokens", "example"),
    "row_story": (
        "run_id", "row_id", "row_index", "place", "step", "what", "token_id", "node", "status", "at", "detail",
    ),
}  # fmt: skip
"""The views by name, with their columns."""

_SELECTED: Mapping[str, str] = {
    "run_summary": """\
SELECT r.run_id, r.status, r.started_at, r.completed_at, r.attempt AS attempts, r.settings_path,
  (SELECT count(*) FROM rows AS w WHERE w.row_id > r.run_id || '-' AND w.row_id < r.run_id || '.') AS rows,
  count(o.outcome) AS ended,
  coalesce(sum(o.outcome IN ('completed', 'routed')), 0) AS written,
  coalesce(sum(o.outcome IN ('quarantined', 'discarded', 'failed')), 0) AS set_aside,
  r.failure
FROM runs AS r LEFT JOIN token_outcomes AS o ON o.run_id = r.run_id AND o.is_terminal GROUP BY r.run_id""",
    "failures_by_reason": """\
SELECT r.run_id, v.node_id, v.error AS reason, count(*) AS tokens, min(v.row_id) AS example
  FROM runs AS r JOIN validation_errors AS v ON v.error_id > r.run_id || '-' AND v.error_id < r.run_id || '.'
  GROUP BY r.run_id, v.node_id, v.error
UNION ALL
SELECT r.run_id, t.node_id, coalesce(json_extract(t.error_json, '$.reason'), t.error_json), count(*), min(t.token_id)
  FROM runs AS r JOIN transform_errors AS t ON t.error_id > r.run_id || '-' AND t.error_id < r.run_id || '.'
  GROUP BY 1, 2, 3""",
    "row_story": """\
SELECT r.run_id, r.row_id, r.row_index, 0 AS place, 0 AS step, 'read' AS what, r.row_id AS token_id,
  r.source_node_id AS node, NULL AS status, r.created_at AS at, r.source_data AS detail FROM rows AS r
UNION ALL
SELECT r.run_id, r.row_id, r.row_index, 1, 0, 'refused', r.row_id, v.node_id, v.destination, v.created_at, v.error
  FROM rows AS r JOIN validation_errors AS v ON v.error_id >= r.row_id AND v.error_id < r.row_id || '~'
UNION ALL
SELECT r.run_id, r.row_id, r.row_index, 1, s.step_index, 'visit', s.token_id, s.node_id, s.status, s.completed_at,
  coalesce(s.error_json, s.output_data)
  FROM rows AS r JOIN node_states AS s ON s.state_id >= r.row_id AND s.state_id < r.row_id || '~'
UNION ALL
SELECT r.run_id, r.row_id, r.row_index, 2, 0, 'end', o.token_id, o.sink_name, o.outcome, o.recorded_at, o.error_json
  FROM rows AS r JOIN token_outcomes AS o ON o.outcome_id >= r.row_id AND o.outcome_id < r.row_id || '~'""",
}


_TOKEN_OF = "left(rtrim({0}, '0123456789.'), -1)"

_IN_POSTGRES: Mapping[str, str] = {
    # Outcomes are found by the range of their keys, run by run: as a join, all of them would be held against each run.
    "run_summary": """\
SELECT r.run_id, r.status, r.started_at, r.completed_at, r.attempt AS attempts, r.settings_path,
  (SELECT count(*) FROM rows AS w WHERE w.row_id > r.run_id || '-' AND w.row_id < r.run_id || '.') AS rows,
  o.ended, o.written, o.set_aside, r.failure
FROM runs AS r CROSS JOIN LATERAL (
  SELECT count(t.outcome) AS ended,
    count(CASE WHEN t.outcome IN ('completed', 'routed') THEN 1 END) AS written,
    count(CASE WHEN t.outcome IN ('quarantined', 'discarded', 'failed') THEN 1 END) AS set_aside
  FROM token_outcomes AS t
  WHERE t.outcome_id > r.run_id || '-' AND t.outcome_id < r.run_id || '.' AND t.is_terminal = 1) AS o""",
    # No text there holds what JSON writes as \u0000, and where one does, the whole cannot be read as JSON.
    "failures_by_reason": _SELECTED["failures_by_reason"].replace(
        "json_extract(t.error_json, '$.reason')",
        r"(CAST(replace(t.error_json, '\u0000', '\u2400') AS JSON) ->> 'reason')",
    ),
    # The token is read out of the id: asked of its record, all records of tokens would be gone through for one row.
    "row_story": _SELECTED["row_story"]
    .replace("s.token_id", _TOKEN_OF.format("s.state_id"))
    .replace("o.token_id", _TOKEN_OF.format("o.outcome_id")),
}
"""The same in words of PostgreSQL, and as it finds them fast."""


def statements(*, postgres: bool = False) -> dict[str, str]:
    """The statements that create the views, by name."""
    return {
        name: f'CREATE VIEW "{name}" AS {selected}'
        for name, selected in (_IN_POSTGRES if postgres else _SELECTED).items()
    }
