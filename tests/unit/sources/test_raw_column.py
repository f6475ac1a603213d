"""The option `raw` keeps each row's text as it was read, whatever becomes of its values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Invalid, Source
from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource
from elspeth.plugins.sources.json_source import JsonOptions, JsonSource
from elspeth.plugins.sources.text_source import TextOptions, TextSource
from elspeth.settings import effective
from tests.kit.pipelines.source_claims import check_resumable
from tests.kit.processes.running import elspeth

KINDS: dict[str, tuple[type[Source], Any]] = {
    "csv": (CsvSource, CsvOptions), "json": (JsonSource, JsonOptions), "text": (TextSource, TextOptions)
}  # fmt: skip


def rows(folder: Path, kind: str, content: str | bytes, name: str = "in.txt", **options: Any) -> list[Any]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source, model = KINDS[kind]
    return check_resumable(lambda: source(model.model_validate({"path": path, "raw": "as_read", **options})))


def test_a_csv_row_keeps_its_line_before_missing_values_and_quotes(tmp_path: Path) -> None:
    text = 'id,v\r\n007,NA\r\n"1","x\r\ny"\r\n\r\n2, a\r\n3'
    found = rows(tmp_path, "csv", text, null_values=["NA"])
    assert found[:3] == [
        {"id": "007", "v": None, "as_read": "007,NA"},
        {"id": "1", "v": "x\r\ny", "as_read": '"1","x\r\ny"'},
        {"id": "2", "v": " a", "as_read": "2, a"},
    ]
    assert isinstance(found[3], Invalid)
    assert found[3].fields == {"id": "3", "v": None, "as_read": "3"}, "of one shape with the others"


def test_in_another_encoding_too(tmp_path: Path) -> None:
    assert rows(tmp_path, "csv", "a\r\né\r\n".encode("utf-16"), encoding="utf-16") == [{"a": "é", "as_read": "é"}]
    assert rows(tmp_path, "text", "é\n".encode("latin-1"), encoding="latin-1") == [{"text": "é", "as_read": "é"}]


def test_a_text_line_keeps_what_is_trimmed(tmp_path: Path) -> None:
    found = rows(tmp_path, "text", "  a \r\n\n\tb", strip_whitespace=True, skip_blank_lines=True)
    assert found == [{"text": "a", "as_read": "  a "}, {"text": "b", "as_read": "\tb"}]


@pytest.mark.parametrize("name", ["in.jsonl", "in.json"])
def test_a_json_object_keeps_its_text(tmp_path: Path, name: str) -> None:
    objects = ['{"a": 1.50, "a" : 2}', '{"b":"\\u0041"}', '{"as_read": 1}']
    content = "\n".join(objects) if name == "in.jsonl" else f"[ {objects[0]} ,{objects[1]},{objects[2]}]"
    one, two, three = rows(tmp_path, "json", content, name, duplicate_keys="last")
    assert one == {"a": 2, "as_read": objects[0]}
    assert two == {"b": "A", "as_read": objects[1]}
    assert isinstance(three, Invalid)
    assert "has the field 'as_read'" in three.error


def test_a_name_that_is_taken_or_left_out_is_found_before_a_run(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,v\n1,2\n")
    with pytest.raises(SettingsError, match="the option raw wants a field 'v'"):
        CsvSource(CsvOptions.model_validate({"path": path, "raw": "v"})).describe()
    with pytest.raises(ValidationError, match="same name"):
        TextOptions.model_validate({"path": path, "raw": "text"})
    for _, model in KINDS.values():
        with pytest.raises(ValidationError, match="must name the field of option raw"):
            model.model_validate({"path": path, "raw": "r", "schema": {"mode": "fixed", "fields": ["id: int"]}})


def test_stored_settings_of_a_run_that_began_before_keep_none() -> None:
    for kind, (_, model) in KINDS.items():
        stored = effective.as_stored({"source": {"plugin": kind, "options": {"path": "x"}}, "sinks": {}})
        assert stored["source"]["options"]["raw"] is None
        assert model.model_validate({"path": "x"}).raw is None


def test_it_is_written_and_on_record(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,v\n007,NA\nx,1\n")
    (tmp_path / "pipeline.yaml").write_text("""
source:
  plugin: csv
  options:
    path: in.csv
    raw: line
    null_values: [NA]
    schema: {mode: fixed, fields: ["id: int", "v: str?", "line: str"]}
  on_validation_failure: aside
sinks: {out: {plugin: csv, options: {path: out.csv}}, aside: {plugin: json, options: {path: aside.jsonl}}}
default_sink: out
landscape: {url: "sqlite:///./audit.db"}
""")
    done = elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.csv").read_text() == 'id,v,line\n7,,"007,NA"\n'
    (refused,) = map(json.loads, (tmp_path / "aside.jsonl").read_text().splitlines())
    assert list(refused) == ["id", "v", "line", "_line", "_error", "_raw"]
    assert refused["line"] == refused["_raw"] == "x,1"
