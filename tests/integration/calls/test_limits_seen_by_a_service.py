"""What a service sees of a limit: no more than allowed in any minute, and the run says what it waits for meanwhile."""

from __future__ import annotations

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.kit.processes.running import begin, elspeth, wait_until
from tests.kit.processes.waiting import PATIENCE_SECONDS
from tests.kit.provider.server import FakeProvider


def lay(folder: Path, url: str, *, rows: int, allowed: int, workers: int = 1) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "in.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(rows)))
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({
        "source": {"plugin": "csv", "options": {"path": "in.csv"}},
        "providers": {"main": {"kind": "openai", "base_url": url}},
        "rate_limit": {"main": {"requests_per_minute": allowed}},
        "transforms": [{
            "name": "ask", "plugin": "llm", "pool_size": 8,
            "options": {"provider": "main", "model": "m", "prompt_template": "{{ row.id }}"},
        }],
        "sinks": {"out": {"plugin": "csv", "options": {"path": "out.csv"}}},
        "default_sink": "out", "concurrency": {"max_workers": workers},
    }, sort_keys=False))  # fmt: skip


def test_over_any_minute_no_more_arrive_than_allowed_whatever_the_number_of_workers(tmp_path: Path) -> None:
    allowed, rows = 24, 30  # a minute's worth, and a few that have to wait for the next one

    def run(workers: int) -> tuple[subprocess.CompletedProcess[str], FakeProvider]:
        with FakeProvider() as provider:
            lay(tmp_path / str(workers), provider.url, rows=rows, allowed=allowed, workers=workers)
            return elspeth("run", "pipeline.yaml", "--execute", cwd=tmp_path / str(workers)), provider

    with ThreadPoolExecutor() as threads:  # it takes a minute, in which nothing is done
        found = list(threads.map(run, (1, 2, 4)))
    for done, provider in found:
        assert done.returncode == 0, done.stderr
        assert (len(provider.seen), len(provider.paid)) == (rows, rows)
        assert provider.most_in_a_minute() <= allowed


@pytest.mark.parametrize(
    ("faults", "allowed", "words"),
    [([], 1, "its requests per minute are used up"), (["429 for long"], 600, "429, ")],
    ids=["limit of its own", "pause of the service"],
)
def test_while_it_waits_every_command_says_for_what(
    faults: list[str], allowed: int, words: str, tmp_path: Path
) -> None:
    with FakeProvider(faults=faults) as provider:
        lay(tmp_path, provider.url, rows=4, allowed=allowed)
        process = begin("run", "pipeline.yaml", "--execute", cwd=tmp_path)
        for command in (("watch", "latest", "--once"), ("status", "latest"), ("doctor",), ("health",)):

            def says(command: tuple[str, ...] = command) -> bool:
                said = " ".join(elspeth(*command, cwd=tmp_path, COLUMNS="200").stdout.split())
                return "no row finished for" in said and f"waiting for provider main: {words}" in said

            wait_until(says, process)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, printed
    assert f"waiting for provider main: {words}" in printed
