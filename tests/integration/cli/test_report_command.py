"""`report`: one file that asks nothing of anybody, for runs that are whole, alive, killed and purged."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from elspeth.runs.views.report.page import MARK
from tests.kit.pipelines.crash_pipelines import CALLING, DECIDING, lay_out
from tests.kit.processes.held import elspeth, held_run, killed_run, make
from tests.kit.processes.waiting import PATIENCE_SECONDS

LIMIT = 500_000
SCRIPT = "<script>document.title='hacked'</script>"
HOSTILE = f"secret {SCRIPT}</script><img src=x onerror=\"document.title='hacked'\">\u202eeslaf\u2028"
CHROMIUM = shutil.which("chromium")


def ran(folder: Path, settings: str = DECIDING) -> Path:
    """A folder with a pipeline that has run to its end."""
    lay_out(folder, settings)
    assert elspeth(folder, "run", "--settings", "pipeline.yaml", "--execute").returncode == 0
    return folder


def hostile(folder: Path) -> Path:
    """A run whose rows are written to harm who looks at them."""
    lay_out(folder, DECIDING)
    rows = [f'{at},{at},"{HOSTILE.replace(chr(34), chr(34) * 2)}{at}"\n' for at in range(5)]
    rows.append(f"5,5,secret {'x' * 1_000_000}\n6,6,secret {'<' * 10_000}\n")
    (folder / "input.csv").write_text("id,amount,note\n" + "".join(rows), encoding="utf-8")
    elspeth(folder, "run", "--settings", "pipeline.yaml", "--execute", "--allow-all-failed")
    return folder


def reported(folder: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """The page about the latest run, and the value in it."""
    done = elspeth(folder, "report", "latest", "-o", "run.html", *words)
    assert done.returncode == 0, done.stderr
    page = (folder / "run.html").read_text(encoding="utf-8")
    assert len(page.encode()) < LIMIT
    (found,) = re.findall(r'<script type="application/json" id="value">(.*?)</script>', page, re.S)
    return page, json.loads(found)


def test_the_report_says_what_status_says_and_tells_each_kind_of_error_with_samples(tmp_path: Path) -> None:
    folder = ran(tmp_path / "run")
    _, value = reported(folder, "--verify")
    status = json.loads(elspeth(folder, "status", "latest", "--json").stdout)
    assert value["run"]["run_id"] == status["run_id"]
    assert {edge["id"]: edge["count"] for edge in value["flow"]["edges"] if edge["count"]} == status["edges"]
    assert (value["balance"]["rows"], value["balance"]["open"]) == (status["rows"], 0)
    assert value["balance"]["outcomes"] == status["balance"]["outcomes"]
    assert {sink["sink"]: sink["sha256"] for sink in value["balance"]["sinks"]} == {
        name: hashlib.sha256((folder / path).read_bytes()).hexdigest()
        for name, path in (("low", "output/low.csv"), ("high", "output/high.json"), ("refused", "output/refused.jsonl"))
    }
    assert value["verdict"]["verified"]["holds"]
    kinds = value["errors"]["kinds"]
    assert sum(kind["count"] for kind in kinds) == status["balance"]["outcomes"]["quarantined"]
    for kind in kinds:
        assert len(kind["samples"]) == min(kind["count"], 3)
        for sample in kind["samples"]:
            assert (sample["outcome"], sample["sink"]) == ("quarantined", "refused")
            assert isinstance(sample["row"], int)
            assert sample["data"]
    assert value["time"]["curve"][-1]["rows"] == status["rows"]


def test_the_page_is_one_file_that_may_load_nothing_and_run_its_own_script_only(tmp_path: Path) -> None:
    page, _ = reported(ran(tmp_path / "run"))
    assert page.startswith(f"<!doctype html>\n{MARK}")
    outside = set(re.findall(r"https?://[^\"' ]+", re.sub(r'id="value">.*?</script>', "", page, flags=re.S)))
    assert outside == {"http://www.w3.org/2000/svg"}  # a name, which nobody looks up
    assert not re.search(r"\b(src|href)=|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|\beval\b", page)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy


def test_without_data_nothing_of_any_row_is_in_it(tmp_path: Path) -> None:
    folder = hostile(tmp_path / "run")
    assert "eslaf" in reported(folder)[0]
    page, value = reported(folder, "--no-data")
    assert "eslaf" not in page
    assert "hacked" not in page
    assert all("data" not in sample for kind in value["errors"]["kinds"] for sample in kind["samples"])


def test_what_is_in_rows_ends_no_element_and_does_not_make_the_page_large(tmp_path: Path) -> None:
    page, value = reported(hostile(tmp_path / "run"))
    assert SCRIPT not in page
    assert len(re.findall("</script", page)) == 2
    assert any(SCRIPT in sample["data"] for kind in value["errors"]["kinds"] for sample in kind["samples"])


def test_a_run_that_is_alive_and_one_that_was_killed(tmp_path: Path) -> None:
    with held_run(make(tmp_path / "alive")):
        _, value = reported(tmp_path / "alive")
        (tmp_path / "alive" / "go").touch()
    assert (value["verdict"]["state"], value["verdict"]["rows"] > 0) == ("alive", True)
    run_id = killed_run(make(tmp_path / "killed"))
    _, value = reported(tmp_path / "killed", "--verify")
    assert (value["verdict"]["state"], value["verdict"]["resumable"]) == ("orphaned", True)
    assert value["verdict"]["next_command"] == f"elspeth resume {run_id}"
    assert value["verdict"]["verified"]["holds"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_purged_run_keeps_what_is_left_of_it(tmp_path: Path, whole: bool) -> None:
    folder = ran(tmp_path / "run")
    _, before = reported(folder)
    done = elspeth(folder, "purge", "--run", "latest", *(["--whole"] if whole else []))
    assert done.returncode == 0, done.stderr
    _, value = reported(folder)
    assert (value["verdict"]["purged"], value["verdict"]["removed"]) == (not whole, whole)
    if not whole:
        assert value["flow"] == before["flow"]
        samples = [sample for kind in value["errors"]["kinds"] for sample in kind["samples"]]
        assert {sample["data"] for sample in samples} == {"(no longer kept)"}


def test_against_another_run_tells_settings_counts_and_reasons(tmp_path: Path) -> None:
    folder = ran(tmp_path / "run")
    first = json.loads(elspeth(folder, "status", "latest", "--json").stdout)
    settings = (folder / "pipeline.yaml").read_text()
    (folder / "pipeline.yaml").write_text(settings.replace("> 1000", "> 500").replace("[secret]", "[plain]"))
    for output in (folder / "output").iterdir():
        output.unlink()
    assert elspeth(folder, "run", "--settings", "pipeline.yaml", "--execute").returncode == 0
    _, value = reported(folder, "--against", first["run_id"])
    assert value["settings"]["since"] == first["run_id"]
    changed = {one["key"]: (one["then"], one["now"]) for one in value["settings"]["changed"]}
    assert changed["gates[0].condition"] == ("row['amount'] > 1000", "row['amount'] > 500")
    other = value["against"]
    assert (other["run_id"], other["rows"]) == (first["run_id"], first["rows"])
    assert {one["key"] for one in other["edges"]} >= {"threshold:true"}
    assert other["reasons"]


def test_calls_are_told_by_provider(tmp_path: Path) -> None:
    _, value = reported(ran(tmp_path / "run", CALLING))
    (found,) = value["calls"]
    assert found["exchanges"] > 0
    assert found["p50"] is not None
    assert found["p50"] <= found["p95"]


def test_a_file_that_is_no_report_is_left_alone(tmp_path: Path) -> None:
    folder = ran(tmp_path / "run")
    (folder / "mine.html").write_text("mine")
    done = elspeth(folder, "report", "latest", "-o", "mine.html")
    assert (done.returncode, (folder / "mine.html").read_text()) == (2, "mine")
    assert "mine.html is there, and is no report" in done.stderr


def test_a_pipe_or_a_folder_is_no_place_for_a_report_and_nobody_waits_for_it(tmp_path: Path) -> None:
    folder = ran(tmp_path / "run")
    os.mkfifo(folder / "pipe")
    done = elspeth(folder, "report", "latest", "-o", "pipe")
    assert done.returncode == 2
    assert "pipe is there, and is no report" in done.stderr
    assert (folder / "pipe").is_fifo()
    assert elspeth(folder, "report", "latest", "-o", "output").returncode == 2


def test_a_place_where_no_file_can_be_made_is_named(tmp_path: Path) -> None:
    folder = ran(tmp_path / "run")
    for target in ("pipeline.yaml/run.html", "/proc/run.html"):
        done = elspeth(folder, "report", "latest", "-o", target)
        assert done.returncode == 75, done.stderr
        assert f"{target} cannot be written" in done.stderr
        assert "bug" not in done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="there is no browser here: Debian's package chromium")
def test_a_browser_draws_every_part_and_hostile_rows_are_text(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    folder = hostile(tmp_path / "run")
    _, value = reported(folder)
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=5000", "--dump-dom", (folder / "run.html").as_uri()],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    drawn = re.sub(r'<script type="application/json".*?</script>', "", done.stdout, flags=re.S)
    assert f"<title>Elspeth run {value['run']['run_id']}</title>" in drawn, done.stderr
    for part in ("verdict", "flow", "balance", "time", "nodes", "errors", "settings"):
        assert f'id="{part}"' in drawn
    assert len(re.findall('class="node', drawn)) == len(value["flow"]["nodes"])
    assert "<img" not in drawn
    assert html.escape(SCRIPT, quote=False) in drawn
