"""Metrics of real runs: what they say is what `status` says, and whatever goes wrong with them is said once."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

import psutil
import pytest

from tests.docs.repository import ROOT
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.held import elspeth, held_run, make
from tests.kit.processes.waiting import wait_until

MONITORING = ROOT / "ops" / "monitoring"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
RUN = ("run", "--settings", "pipeline.yaml", "--execute")
SAMPLE = re.compile(r'^(\w+)\{pipeline="([^"]*)"(?:,([^}]*))?\} (\S+)$', re.M)


def samples(text: str) -> dict[str, float]:
    """Values by name and further labels."""
    return {f"{name}{{{labels}}}" if labels else name: float(value) for name, _, labels, value in SAMPLE.findall(text)}


def page(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return str(answer.read().decode())


def test_the_file_says_at_the_end_what_status_says(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "run", DECIDING + "telemetry: {prometheus: {textfile: metrics.prom}}\n")
    assert elspeth(folder, *RUN).returncode == 0
    found = samples((folder / "metrics.prom").read_text())
    status = json.loads(elspeth(folder, "status", "latest", "--json").stdout)
    assert found["elspeth_run_active"] == 0
    assert found["elspeth_rows_durable_total"] == found["elspeth_rows_read_total"] == status["rows"]
    assert found["elspeth_rows_decided_total"] == status["rows"]
    for outcome, count in status["balance"]["outcomes"].items():
        assert found[f'elspeth_outcomes_total{{outcome="{outcome}"}}'] == count
    for edge, count in status["edges"].items():
        assert found[f'elspeth_edge_tokens_total{{edge="{edge}"}}'] == count
    for node in status["nodes"]:
        name = node["node_id"]
        assert found[f'elspeth_node_seconds_total{{node="{name}"}}'] == pytest.approx(node["seconds"])
        assert found[f'elspeth_node_visits_total{{node="{name}"}}'] == sum(node["counts"].values())
    assert found["elspeth_commits_total"] > 1
    assert found["elspeth_last_commit_timestamp_seconds"] >= found["elspeth_run_start_timestamp_seconds"]
    assert (folder / "metrics.prom").stat().st_mode & 0o044 == 0o044
    assert not [path for path in folder.iterdir() if path.name.endswith(".partial")]


def test_a_run_is_scraped_while_it_is_driven_by_its_main_process_alone(tmp_path: Path, port: int) -> None:
    settings = make(tmp_path)
    with held_run(settings, ELSPETH_TELEMETRY__PROMETHEUS__PORT=str(port)) as (process, run_id):
        found = wait_until(lambda: samples(text) if "rows_durable_total" in (text := page(port)) else None)
        assert found["elspeth_run_active"] == 1
        assert 0 < found["elspeth_rows_durable_total"] <= found["elspeth_rows_read_total"]
        assert f'run_id="{run_id}"' in page(port)
        listening = [
            each.pid
            for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True))
            if any(one.status == psutil.CONN_LISTEN for one in each.net_connections(kind="tcp"))
        ]
        assert listening == [process.pid]
        for method, path, code in (
            ("GET", "/", 404),
            ("GET", "/metrics/../etc/passwd", 404),
            ("POST", "/metrics", 501),
        ):
            connection = HTTPConnection("127.0.0.1", port)
            connection.request(method, path)
            assert connection.getresponse().status == code
            connection.close()
        (tmp_path / "go").touch()
        assert process.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_port_that_is_taken_is_said_once_and_the_run_goes_on(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        folder = lay_out(tmp_path / "run", DECIDING + f"telemetry: {{prometheus: {{port: {number}}}}}\n")
        done = elspeth(folder, *RUN)
    assert done.returncode == 0
    assert done.stderr.count("telemetry: ") == 1
    assert f"metrics on 127.0.0.1:{number} failed" in done.stderr


@pytest.mark.parametrize("target", ["mine.txt", "nowhere/metrics.prom", "pipe"])
def test_a_file_that_cannot_be_had_is_said_once_and_nothing_of_anybodys_is_touched(tmp_path: Path, target: str) -> None:
    folder = lay_out(tmp_path / "run", DECIDING + f"telemetry: {{prometheus: {{textfile: {target}}}}}\n")
    (folder / "mine.txt").write_text("mine")
    subprocess.run(["mkfifo", folder / "pipe"], check=True)
    done = elspeth(folder, *RUN)
    assert done.returncode == 0
    assert done.stderr.count("telemetry: ") == 1
    assert f"metrics in {target} failed" in done.stderr
    assert (folder / "mine.txt").read_text() == "mine"
    assert (folder / "pipe").is_fifo()


def test_an_output_or_input_as_file_of_metrics_is_refused_before_the_run(tmp_path: Path) -> None:
    for name in ("output/low.csv", "input.csv"):
        folder = lay_out(
            tmp_path / name.replace("/", "_"), DECIDING + f"telemetry: {{prometheus: {{textfile: {name}}}}}\n"
        )
        done = elspeth(folder, *RUN)
        assert done.returncode == 2
        assert "the file of metrics" in done.stderr


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{prometheus: {}}", "says neither port nor textfile"),
        ("{prometheus: {port: 70000}}", "out of range"),
        ("{prometheuss: {port: 9464}}", "did you mean prometheus"),
        ("{otlp: {endpoint: collector}}", "is no address of a collector"),
        ("{otlp: {endpoint: 'http://u:p@h:4318'}}", "credential"),
    ],
)
def test_validate_finds_what_is_wrong(tmp_path: Path, section: str, words: str) -> None:
    folder = lay_out(tmp_path / "run", DECIDING + f"telemetry: {section}\n")
    done = elspeth(folder, "validate", "--settings", "pipeline.yaml")
    assert done.returncode == 2
    assert words in done.stdout + done.stderr


def test_it_is_no_part_of_what_decides_and_a_resume_may_set_it(tmp_path: Path, port: int) -> None:
    settings = make(tmp_path)
    with held_run(settings) as (process, _):
        process.kill()
        process.wait()
    (tmp_path / "go").touch()
    place = "telemetry.prometheus.textfile=again.prom"
    assert elspeth(tmp_path, "resume", "latest", "--set", place).returncode == 0
    found = samples((tmp_path / "again.prom").read_text())
    assert found["elspeth_rows_durable_total"] == 3000
    assert 'attempt="2"' in (tmp_path / "again.prom").read_text()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: Debian's package prometheus")
def test_the_alerts_do_what_they_say(tmp_path: Path) -> None:
    for words in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml"),
                  ("check", "config", "prometheus.yml")):  # fmt: skip
        done = subprocess.run([str(PROMTOOL), *words], cwd=MONITORING, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not here: Debian's package of this name")
def test_prometheus_takes_a_run_and_answers_all_that_the_dashboard_asks(tmp_path: Path, port: int) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        own = found.getsockname()[1]
    config = (MONITORING / "prometheus.yml").read_text().replace("15s", "200ms").replace(":9464", f":{port}")
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(MONITORING / "alerts.yml", tmp_path)
    settings = make(tmp_path / "run")
    with (
        held_run(settings, ELSPETH_TELEMETRY__PROMETHEUS__PORT=str(port)) as (process, _),
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [str(PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
             f"--web.listen-address=127.0.0.1:{own}"], cwd=tmp_path, stdout=log, stderr=log,
        ) as server,
    ):  # fmt: skip
        try:
            wait_until(lambda: _asked(own, "elspeth_rows_durable_total"), "a scrape")
            board = json.loads((MONITORING / "dashboard.json").read_text())
            for panel in board["panels"]:
                for target in panel["targets"]:
                    query = target["expr"].replace("$pipeline", ".*")
                    answered = _asked(own, query)
                    asks_services = re.search(r"elspeth_(call|breaker)", query)
                    assert asks_services or "rate(" in query or answered, query
            (value,) = _asked(own, 'elspeth_run_active{pipeline="out"}')
            assert value["value"][1] == "1"
        finally:
            server.terminate()
        (tmp_path / "run" / "go").touch()
        assert process.wait() == 0


def _asked(port: int, query: str) -> list[dict[str, Any]]:
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}") as answer:
            found = json.load(answer)
    except HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:  # it has not begun yet
            return []
        raise
    except URLError as error:
        if isinstance(error.reason, ConnectionError):
            return []
        raise
    assert found["status"] == "success", found
    return list(found["data"]["result"])
