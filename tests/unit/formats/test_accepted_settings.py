"""Settings of this format that are accepted: checked for form, and named in one line where they have no effect."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from elspeth import canonical
from elspeth.audit.export.jsonl import TABLES
from elspeth.runs.lifecycle.evidence_delivery import record_type
from elspeth.settings import difference
from tests.kit.processes.running import elspeth
from tests.unit.formats.conftest import problems, read, run, warnings, write

PIPELINE = """
source: {plugin: csv, options: {path: in.csv}}
sinks: {out: {plugin: json, options: {path: out.json}}}
default_sink: out
"""
EXPORT = """
source: {plugin: csv, options: {path: in.csv}}
sinks:
  out: {plugin: json, options: {path: out.json}}
  records: {plugin: json, options: {path: records.jsonl, format: jsonl}}
default_sink: out
landscape: {export: {enabled: true, sink: records%s}}
"""

WITHOUT_EFFECT = {
    "run_mode: live": set(),
    "replay_from: some_run": {"replay_from"},
    "landscape: {enabled: true}": {"landscape.enabled"},
    "landscape: {enabled: false}": {"landscape.enabled"},
    "landscape: {backend: sqlite}": set(),
    "landscape: {dump_to_jsonl_fail_on_error: true}": {"landscape.dump_to_jsonl_fail_on_error"},
    "landscape: {dump_to_jsonl_include_payloads: false}": {"landscape.dump_to_jsonl_include_payloads"},
    "landscape: {dump_to_jsonl_payload_base_path: payloads}": {"landscape.dump_to_jsonl_payload_base_path"},
    "landscape: {dump_to_jsonl_payload_base_path: null}": {"landscape.dump_to_jsonl_payload_base_path"},
    "checkpoint: {aggregation_boundaries: true}": {"checkpoint.aggregation_boundaries"},
    "landscape: {export: {include_raw_error_rows: true}}": {"landscape.export.include_raw_error_rows"},
    "landscape: {export: {max_records: 5, byte_limit: 9, format_version: 'v2'}}": {
        "landscape.export.max_records", "landscape.export.byte_limit", "landscape.export.format_version",
    },
    "secrets: {source: env}": {"secrets"},
    "secrets: {source: env, mapping: {}, vault_url: null}": {"secrets"},
    "depends_on: []": {"depends_on"},
    "commencement_gates: []": {"commencement_gates"},
    "collection_probes: []": {"collection_probes"},
    "telemetry: {enabled: true, exporters: [{name: console}]}": {"telemetry.exporters"},
    "rate_limit: {enabled: true, default_requests_per_minute: 60, persistence_path: null,"
    " services: {azure: {requests_per_minute: 100}}}": {"rate_limit", "rate_limit.persistence_path"},
}  # fmt: skip


@pytest.mark.parametrize("lines", WITHOUT_EFFECT)
def test_a_key_without_effect_is_accepted_and_named_in_one_line(lines: str, folder: Path) -> None:
    found = warnings(PIPELINE + lines)
    assert set(found) == set(WITHOUT_EFFECT[lines])
    assert all(message.startswith("has no effect") for message in found.values())


@pytest.mark.parametrize("lines", WITHOUT_EFFECT)
def test_it_changes_nothing_of_what_is_stored_and_compared(lines: str, folder: Path) -> None:
    assert difference(read(PIPELINE).loaded.document, read(PIPELINE + lines).loaded.document) == []


def test_validate_prints_each_of_them_on_a_line_of_its_own(
    folder: Path, told: Callable[..., tuple[int, str, str]]
) -> None:
    Path("in.csv").write_text("a\n1\n")
    write(PIPELINE + "landscape: {enabled: true}\ncheckpoint: {aggregation_boundaries: false}\ndepends_on: []\n")
    code, printed, _ = told("validate", "--no-dotenv")
    assert code == 0
    lines = [line for line in printed.splitlines() if "has no effect" in line]
    assert [line.split(": ")[2] for line in lines] == [
        "depends_on", "landscape.enabled", "checkpoint.aggregation_boundaries",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ("landscape: {enabled: 5}", "landscape.enabled", "true or false"),
        ("landscape: {backend: postgresql}", "landscape.backend", "does not agree with landscape.url"),
        ("landscape: {backend: 5}", "landscape.backend", "does not agree with landscape.url"),
        ("landscape: {dump_to_jsonl_payload_base_path: []}", "landscape.dump_to_jsonl_payload_base_path", "a text"),
        ("checkpoint: {aggregation_boundaries: 'on'}", "checkpoint.aggregation_boundaries", "true or false"),
        ("landscape: {export: {max_records: 0}}", "landscape.export.max_records", "a whole number or a text"),
        ("landscape: {export: {signing_mode: rsa}}", "landscape.export.signing_mode", "unsigned, hmac_sha256"),
        (
            "landscape: {export: {signing_mode: unsigned, sign: true}}",
            "landscape.export.signing_mode",
            "says otherwise",
        ),
        ("secrets: {source: keyvault, vault_url: u}", "secrets", "source: env"),
        ("secrets: {source: env, mapping: {A: b}}", "secrets", "source: env"),
        ("depends_on: [other.yaml]", "depends_on", "nothing, or an empty list"),
        ("commencement_gates: [{name: g}]", "commencement_gates", "nothing, or an empty list"),
        ("collection_probes: [{collection: c}]", "collection_probes", "nothing, or an empty list"),
        ("telemetry: {enabled: 1}", "telemetry.enabled", "true or false"),
        ("rate_limit: {default_requests_per_minute: 0}", "rate_limit.default_requests_per_minute", "at least 1"),
        (
            "rate_limit: {services: {s: {requests_per_minute: fast}}}",
            "rate_limit.services.s.requests_per_minute",
            "number",
        ),
        ("rate_limit: {services: {s: 5}}", "rate_limit.services.s", "a mapping"),
    ],
)
def test_its_form_is_checked(lines: str, key: str, words: str, folder: Path) -> None:
    (problem,) = problems(PIPELINE + lines)
    assert problem.key == key
    assert problem.line
    assert words in str(problem)


@pytest.mark.parametrize("mode", ["replay", "verify"])
def test_run_mode_replay_and_verify_point_to_commands_that_there_are(
    mode: str, folder: Path, told: Callable[..., tuple[int, str, str]]
) -> None:
    (problem,) = problems(PIPELINE + f"run_mode: {mode}\nreplay_from: some_run\n")
    assert problem.key == "run_mode"
    commands = re.findall("`elspeth ([a-z]+)`", problem.message)
    assert commands == ["replay", "verify"]
    assert [told(command, "--help")[0] for command in commands] == [0] * len(commands)


def test_a_value_from_a_variable_is_read_like_any_other(folder: Path) -> None:
    text = PIPELINE + "landscape: {enabled: '${AUDIT:-true}'}\n"
    assert [warning.key for warning in read(text, {"AUDIT": "false"}).loaded.warnings] == ["landscape.enabled"]
    (problem,) = problems(text.replace(":-true", ":-perhaps"))
    assert problem.key == "landscape.enabled"


def test_a_schema_may_name_audit_fields(folder: Path) -> None:
    text = PIPELINE.replace(
        "path: in.csv", 'path: in.csv, schema: {mode: fixed, fields: ["a: int"], audit_fields: [m]}'
    )
    assert set(warnings(text)) == {"source.options.schema.audit_fields"}
    (problem,) = problems(text.replace("[m]", "m"))
    assert "a list of field names" in str(problem)


@pytest.mark.parametrize(("mode", "signed"), [("unsigned", False), ("hmac_sha256", True)])
def test_signing_mode_is_sign(mode: str, signed: bool, folder: Path) -> None:
    assert read(EXPORT % f", signing_mode: {mode}").settings.landscape.export.sign is signed


def test_signing_secret_ref_names_the_variable_with_the_key(folder: Path) -> None:
    Path("in.csv").write_text("a\n1\n")
    write(EXPORT % ", signing_mode: hmac_sha256, signing_secret_ref: OUR_KEY")
    refused = elspeth("run", "pipeline.yaml", "--execute", cwd=folder)
    assert refused.returncode == 2
    assert "OUR_KEY is not set" in refused.stderr
    done = elspeth("run", "pipeline.yaml", "--execute", cwd=folder, OUR_KEY="k")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(Path("records.jsonl").read_text().splitlines()[-1])
    signed = {name: manifest[name] for name in ("run_id", "commit_no", "head", "records", "sha256")}
    assert manifest["signature"] == hmac.new(b"k", canonical.dumps(signed), hashlib.sha256).hexdigest()


def test_each_exported_record_has_record_type_beside_table(folder: Path) -> None:
    Path("in.csv").write_text("a\n1\n")
    run(EXPORT % "")
    records = [json.loads(line) for line in Path("records.jsonl").read_text().splitlines()]
    kinds = {record["table"]: record["record_type"] for record in records}
    expected = {
        "runs": "run", "nodes": "node", "edges": "edge", "rows": "row", "tokens": "token",
        "token_outcomes": "token_outcome", "node_states": "node_state",
    }  # fmt: skip
    assert {table: kinds.get(table) for table in expected} == {**expected, "node_states": kinds.get("node_states")}


def test_record_types_are_singular() -> None:
    assert {record_type(table) for table in TABLES} >= {
        "run", "node", "edge", "row", "token", "token_outcome", "node_state", "routing_event", "artifact", "batch",
    }  # fmt: skip
    assert not [table for table in TABLES if record_type(table) == table]


def test_a_run_that_was_started_without_record_types_is_exported_without_them() -> None:
    from elspeth.settings import effective

    stored = {effective.FORMAT: 2, "landscape": {"export": {"enabled": True}}}
    assert effective.as_stored(stored)["landscape"]["export"]["record_type"] is False


@pytest.mark.parametrize("target", ["out", "discard"])
def test_an_export_sink_may_carry_on_write_failure(target: str, folder: Path) -> None:
    Path("in.csv").write_text("a\n1\n")
    text = (EXPORT % "").replace("format: jsonl}", f"format: jsonl}}, on_write_failure: {target}")
    assert set(warnings(text)) == {"sinks.records.on_write_failure"}
    run(text)
    assert json.loads(Path("out.json").read_text()) == [{"a": "1"}]


def test_a_database_sink_is_refused_in_a_plain_sentence(folder: Path) -> None:
    text = PIPELINE.replace(
        "{plugin: json, options: {path: out.json}}",
        "{plugin: database, effect_ledger: t, options: {url: 'sqlite:///x.db', table: t, if_exists: append}}",
    )
    (problem,) = problems(text)
    assert problem.message == "The sink 'database' writes into a database; this Elspeth writes files only."
