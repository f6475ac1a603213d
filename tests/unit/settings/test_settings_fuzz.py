"""Whatever stands in the file, the answer is settings or a list of problems: never a traceback."""

from __future__ import annotations

import contextlib
import random

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.errors import SettingsError
from elspeth.settings import SettingsProblems, load, load_stored
from tests.kit.later_options import fill_later_options

GOOD = """\
source: &source
  plugin: csv
  options: {path: "${INPUT:-in.csv}", schema: {mode: free, fields: ["id: int"]}, api_key: "${KEY}"}
  on_validation_failure: quarantine
transforms:
  - {plugin: field_mapper, options: {mapping: {old: new}}, on_error: quarantine, pool_size: 2}
gates:
  - name: split
    condition: "row['amount'] > 1000"
    routes: {true: fork, "false": continue}
    fork_to: [left, right]
coalesce:
  - {name: merge, branches: {left: a, right: b}, policy: quorum, quorum_count: 1}
aggregations:
  - {name: stats, plugin: batch_stats, trigger: {count: 3, timeout_seconds: 1.5}}
queues: [inbound]
sinks:
  output: {plugin: csv, options: {path: o.csv}}
  quarantine: {plugin: json, options: {path: q.json}}
default_sink: output
landscape: {url: "sqlite:///./a.db", export: {enabled: true, sink: output}}
checkpoint: {enabled: true, frequency: every_n, checkpoint_interval: 3}
supervisor: {max_restarts: 3, hang_timeout_seconds: null}
"""
ENVIRON = {"KEY": "hunter2hunter2", "ELSPETH_FINGERPRINT_KEY": "quick"}

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8),
    st.sampled_from(["${KEY}", "${GONE}", "${", "output", "discard", "every_row", "http://a:${KEY}@b/", "csv"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "plugin", "options", "schema", "on_error", "x", "token"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)


def _assert_told(error):
    assert error.message
    assert error.problems
    assert "hunter2" not in str(error)


def attempt(path, text, environ=ENVIRON):
    """Load; a success must also survive being stored. Whatever happens, the credential is not repeated."""
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    try:
        loading = load(path, environ=environ, dotenv=False, further=fill_later_options)
    except SettingsProblems as error:
        _assert_told(error)
        return
    again = load_stored(loading.settings_json, environ, dotenv=False)
    assert again.settings == loading.settings
    assert again.document == loading.document


def paths_of(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_of(item, (*path, key))


@settings(max_examples=150)
@given(st.data())
def test_a_value_replaced_anywhere(tmp_path_factory, data):
    document = yaml.safe_load(GOOD)
    path = data.draw(st.sampled_from([path for path in paths_of(document) if path]))
    holder = document
    for part in path[:-1]:
        holder = holder[part]
    if data.draw(st.booleans()):
        holder[path[-1]] = data.draw(values)
    elif isinstance(holder, dict):
        holder[data.draw(st.text(max_size=6))] = holder.pop(path[-1])
    else:
        holder.pop(path[-1])
    attempt(tmp_path_factory.getbasetemp() / "replaced.yaml", yaml.safe_dump(document))


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_characters_changed_anywhere(tmp_path_factory, seed, count):
    chance = random.Random(seed)
    text = list(GOOD)
    for _ in range(count):
        at = chance.randrange(len(text))
        text[at : at + chance.randrange(3)] = chance.choice(
            ["", "\t", "\n", ":", "{", "}", "[", "*a", "&a", "!x", "'", "<<", "é", "\0", "- "]
        )
    attempt(tmp_path_factory.getbasetemp() / "changed.yaml", "".join(text))


@settings(max_examples=100)
@given(st.one_of(st.text(), st.binary(max_size=200)))
def test_any_file_at_all(tmp_path_factory, content):
    attempt(tmp_path_factory.getbasetemp() / "any.yaml", content)


names = st.lists(
    st.sampled_from(["SOURCE", "SINKS", "OUTPUT", "OPTIONS", "GATES", "0", "9", "SPLIT", "NAME", "ON_ERROR", "X", ""]),
    min_size=2, max_size=5,
)  # fmt: skip


@settings(max_examples=150)
@given(st.dictionaries(names.map(lambda parts: "ELSPETH_" + "__".join(parts)), st.text(max_size=8), max_size=3))
def test_any_variables_in_the_environment(tmp_path_factory, variables):
    attempt(tmp_path_factory.getbasetemp() / "variables.yaml", GOOD, {**variables, **ENVIRON})


@settings(max_examples=150)
@given(
    st.text(max_size=30)
    | st.sampled_from(["concurrency.max_workers=", "retry.x.y=1", "supervisor.=", "rate_limit.a.b=[1"])
)
def test_any_assignment_on_resume(tmp_path_factory, assignment):
    path = tmp_path_factory.getbasetemp() / "stored.yaml"
    path.write_text(GOOD)
    stored = load(path, environ=ENVIRON, dotenv=False).settings_json
    with contextlib.suppress(SettingsError):
        load_stored(stored, ENVIRON, [assignment], dotenv=False)
