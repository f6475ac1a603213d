"""What a file says of workers on other machines is checked as a whole, and may be said anew on resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.settings import Settings, SettingsProblems, cluster, load_stored
from elspeth.settings.compare import apply_set, difference, settings_hash

BASE = "source: {plugin: csv, options: {path: in.csv}}\nsinks: {out: {plugin: json, options: {path: o.json}}}\n"
SET = {"HF_TOKEN": "hf"}
FULL = """\
cluster:
  engine: ray
  address: ray://head.example:10001
  workers: 40
  resources: {cpu: 0.5, memory_mb: 1024, custom: {gpu: 0.5}}
  unreachable_seconds: 20
  outage_seconds: 60
  runtime: {pip: ["scipy==1.15.0"], env: [HF_TOKEN]}
"""


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: object())


def problems(loaded: Callable[..., Any], text: str, environ: dict[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(SettingsProblems) as raised:
        loaded(text, environ)
    return {
        problem.key: f"{problem.message}; {problem.allowed}; {problem.suggestion}" for problem in raised.value.problems
    }


def test_all_that_may_be_said_is_read(loaded: Callable[..., Any]) -> None:
    found = loaded(BASE + FULL, SET).settings.cluster
    assert found.address == "ray://head.example:10001"
    assert (found.workers, found.resources.cpu, found.resources.memory_mb) == (40, 0.5, 1024)
    assert found.resources.custom == {"gpu": 0.5}
    assert (found.unreachable_seconds, found.outage_seconds) == (20, 60)
    assert (found.runtime.pip, found.runtime.env) == (("scipy==1.15.0",), ("HF_TOKEN",))


@pytest.mark.parametrize("custom", ["{gpu: 2}", "{gpu: 0.25}", "{tpu: 1.5}", "{accelerator: 0.001}"])
def test_other_resources_may_be_asked_for_by_name(loaded: Callable[..., Any], custom: str) -> None:
    assert loaded(f"{BASE}cluster: {{resources: {{custom: {custom}}}}}\n").settings.cluster.resources.custom


def test_without_the_section_there_is_no_cluster(loaded: Callable[..., Any]) -> None:
    assert loaded(BASE).settings.cluster is None
    assert loaded(BASE).document["cluster"] is None


def test_values_of_variables_that_go_along_are_stored_nowhere(loaded: Callable[..., Any]) -> None:
    assert "hf_0123456789" not in loaded(BASE + FULL, {"HF_TOKEN": "hf_0123456789"}).settings_json


@pytest.mark.parametrize(
    "address",
    [
        "auto",
        "local",
        "10.0.0.1:6379",
        "head:6379",
        "ray://head:10001",
        "ray://head",
        "[::1]:6379",
        "ray://[fe80::1]:10001",
    ],
)
def test_addresses_of_clusters_are_taken(loaded: Callable[..., Any], address: str) -> None:
    assert loaded(f"{BASE}cluster: {{address: '{address}'}}\n").settings.cluster.address == address


@pytest.mark.parametrize(
    ("section", "key", "words"),
    [
        ("{engine: rai}", "engine", "none of the values that are possible here; ray; ray"),
        ("{engine: slurm}", "engine", "none of the values that are possible here; ray"),
        ("{address: head}", "address", "is no address of a cluster; auto, local, HOST:PORT or ray://HOST:PORT"),
        ("{address: 'http://head:8265'}", "address", "is no address of a cluster"),
        ("{address: 'ray://'}", "address", "is no address of a cluster"),
        ("{address: 'ray://user:word@head:10001'}", "address", "is no address of a cluster"),
        ("{address: 'ray://head:10001/x'}", "address", "is no address of a cluster"),
        ("{address: 'ray://head:99999'}", "address", "is no address of a cluster"),
        ("{address: 'he ad:6379'}", "address", "is no address of a cluster"),
        ("{address: ''}", "address", "a text that is not empty"),
        ("{address: 6379}", "address", "a text"),
        ("{workers: 0}", "workers", "is out of range; at least 1"),
        ("{workers: 4000}", "workers", "is out of range; at most 1024"),
        ("{workers: many}", "workers", "a whole number"),
        ("{wrokers: 4}", "wrokers", "unknown key"),
        ("{resources: {cpu: -1}}", "resources.cpu", "is out of range; at least 0"),
        ("{resources: {memory_mb: 0}}", "resources.memory_mb", "is out of range; at least 1"),
        ("{resources: {memory: 1024}}", "resources.memory", "unknown key"),
        ("{resources: {custom: {gpu: 0}}}", "resources.custom.gpu", "is out of range; at least 0.0001"),
        ("{resources: {custom: {tpu: 0.00001}}}", "resources.custom.tpu", "is out of range; at least 0.0001"),
        ("{resources: {custom: {gpu: 1.5}}}", "resources.custom", "cannot be given so; a part of one, or whole ones"),
        ("{resources: {custom: {CPU: 1}}}", "resources.custom", "has a key of its own; resources.cpu"),
        ("{resources: {custom: {memory: 1}}}", "resources.custom", "has a key of its own; resources.memory_mb"),
        ("{resources: {custom: {GPU: 1}}}", "resources.custom", "has a key of its own; gpu"),
        ("{resources: {custom: {object_store_memory: 1}}}", "resources.custom", "is nothing that a worker asks for"),
        ("{resources: {custom: [gpu]}}", "resources.custom", "a mapping"),
        ("{unreachable_seconds: 0}", "unreachable_seconds", "is out of range; more than 0"),
        ("{outage_seconds: -5}", "outage_seconds", "is out of range; more than 0"),
        ("{runtime: {pip: scipy}}", "runtime.pip", "a list"),
        ("{runtime: {env: {HF_TOKEN: hf_0123456789}}}", "runtime.env", "a list"),
        ("{runtime: {env: ['A=1']}}", "runtime.env.0", "cannot be used here"),
        ("[4]", "", "a mapping"),
    ],
)  # fmt: skip
def test_each_wrong_value_is_named_with_what_is_allowed(
    loaded: Callable[..., Any], section: str, key: str, words: str
) -> None:
    found = problems(loaded, f"{BASE}cluster: {section}\n")
    assert words in found[f"cluster.{key}".rstrip(".")]


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("concurrency: {max_workers: 0}\n", {}),
        ("concurrency: {max_workers: 0}\ncluster: null\n", {}),
        ("concurrency: {max_workers: '${N}'}\n", {"N": "0"}),
        ("chekpoint: {}\nconcurrency: {max_workers: 0}\n", {}),
    ],
)
def test_no_worker_here_needs_a_cluster(loaded: Callable[..., Any], text: str, environ: dict[str, str]) -> None:
    found = problems(loaded, BASE + text, environ)["concurrency.max_workers"]
    assert found == "no worker here needs workers elsewhere; at least 1, or `cluster:` beside it; "


def test_with_a_cluster_there_may_be_no_worker_here(loaded: Callable[..., Any]) -> None:
    assert loaded(BASE + "concurrency: {max_workers: 0}\ncluster: {}\n").settings.concurrency.max_workers == 0


def test_what_the_engine_rests_on_has_to_be_installed(
    loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert loaded(BASE).settings.cluster is None
    found = problems(loaded, BASE + "cluster: {}\n")["cluster"]
    assert found == (
        "needs the extra ray, which is not installed; pip install 'elspeth[ray]', here and on every node; "
    )


def test_a_variable_that_is_to_go_along_has_to_be_set(loaded: Callable[..., Any]) -> None:
    text = BASE + "cluster: {runtime: {env: [HF_TOKEN, HOME_OF_MODELS]}}\n"
    environ = {"HF_TOKEN": "abc", "HOME_OF_MODEL": "/m"}
    found = problems(loaded, text, environ)
    assert list(found) == ["cluster.runtime.env.1"]
    assert "the variable is not set, and cannot go along" in found["cluster.runtime.env.1"]
    given = loaded(text, {**environ, "HOME_OF_MODELS": "/models"})
    assert given.passed_on == {"HF_TOKEN": "abc", "HOME_OF_MODELS": "/models"}
    again = load_stored(json.dumps(given.document), {"HF_TOKEN": "def"}, dotenv=False)
    assert again.passed_on == {"HF_TOKEN": "def"}


def stored(loaded: Callable[..., Any], text: str, *assignments: str) -> Settings:
    document = loaded(text, SET).document
    settings = load_stored(json.dumps(document), {}, assignments, dotenv=False).settings
    assert difference(document, apply_set(document, assignments)) == []
    return settings


def test_a_run_that_was_started_may_have_more_of_it_begin_with_it_and_go_on_without(loaded: Callable[..., Any]) -> None:
    more = stored(loaded, BASE + FULL, "cluster.workers=3", "cluster.resources.custom.gpu=1").cluster
    assert more is not None
    assert (more.workers, more.resources.custom, more.outage_seconds) == (3, {"gpu": 1.0}, 60)
    begun = stored(loaded, BASE, "cluster.address=auto", "concurrency.max_workers=0")
    assert begun.cluster == cluster.Cluster()
    assert begun.concurrency.max_workers == 0
    assert stored(loaded, BASE + FULL, "cluster=null").cluster is None


def test_where_no_worker_is_left_a_resume_is_refused(loaded: Callable[..., Any]) -> None:
    document = loaded(BASE + "concurrency: {max_workers: 0}\ncluster: {}\n").document
    with pytest.raises(SettingsError, match="no worker here needs workers elsewhere"):
        apply_set(document, ["cluster=null"])
    for wrong in ("cluster=ray", "concurrency=null"):
        with pytest.raises(SettingsError, match="cannot be set"):
            apply_set(document, [wrong])


def test_results_do_not_depend_on_it(loaded: Callable[..., Any]) -> None:
    one, other = loaded(BASE).document, loaded(BASE + FULL, SET).document
    assert settings_hash(one) == settings_hash(other)
    assert difference(one, other) == []
