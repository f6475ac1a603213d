"""Memory does not grow with the input."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kit.processes.program import Programs

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
ROWS = 1_000_000
LIMIT_MB = 400
GROWTH = 1.05

SETTINGS = """\
plugins: [numbers.py]
source:
  plugin: numbers
  options: {{rows: {rows}, progress: progress}}
gates:
  - name: threshold
    condition: "row['amount'] > 1000"
    routes: {{"true": high, "false": continue}}
sinks:
  low: {{plugin: csv, options: {{path: output/low.csv}}}}
  high: {{plugin: csv, options: {{path: output/high.csv}}}}
default_sink: low
checkpoint: {{frequency: every_n, checkpoint_interval: 1000}}
concurrency: {{max_workers: 2}}
"""

NUMBERS = '''\
"""A source that makes its rows up and says how far it is."""

from pathlib import Path

from elspeth.plugins.contract import PluginOptions, Source


class NumbersOptions(PluginOptions):
    rows: int
    progress: str


class Numbers(Source):
    name = "numbers"
    Options = NumbersOptions

    def read(self, cursor):
        rows, progress = self.options.rows, Path(self.options.progress)
        for row in range(cursor or 0, rows):
            if not row % (rows // 100):
                progress.write_text(str(row))
            note = f"row {row} of some text that is as long as texts are"
            yield {"id": row, "amount": row * 7919 % 2000, "note": note}, row + 1
'''


BATCH_ROWS = 50_000

BATCH_SETTINGS = """\
plugins: [first.py]
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: fixed, fields: ["id: int", "email: str", "name: str", "amount: float"]}}
aggregations:
  - {name: first, plugin: first, trigger: {count: 100000}, output_mode: transform}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
default_sink: out
concurrency: {max_workers: 2}
"""

FIRST = '''\
"""Of each address the row that came first."""

from elspeth.plugins.contract import Aggregation, PluginOptions


class First(Aggregation):
    name = "first"
    Options = PluginOptions

    def process(self, rows, ctx):
        seen = {}
        for row in rows:
            seen.setdefault(row["email"], row)
        return list(seen.values())
'''


def proportional_bytes(group: int) -> int:
    """The summed PSS of all processes of a process group: shared pages count once."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if os.getpgid(int(entry.name)) == group:
                    text = (entry / "smaps_rollup").read_text(encoding="ascii")
                    total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024


def peaks(folder: Path, rows: int, programs: Programs) -> tuple[float, float]:
    """The highest summed PSS in MB until a tenth was read, and over the whole run."""
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(SETTINGS.format(rows=rows), encoding="utf-8")
    (folder / "numbers.py").write_text(NUMBERS, encoding="utf-8")
    return watched(folder, rows // 10, programs)


def watched(folder: Path, early_rows: int, programs: Programs) -> tuple[float, float]:
    program = programs.start(folder, *RUN)
    early = whole = 0.0
    progress = folder / "progress"
    while program.popen.poll() is None:
        now = proportional_bytes(program.pid) / 1e6
        whole = max(whole, now)
        read = int(progress.read_text() or 0) if progress.exists() else 0
        if read <= early_rows:
            early = max(early, now)
        time.sleep(0.05)
    program.ends_with(0)
    return early, whole


@pytest.mark.campaign
def test_a_million_rows_need_no_more_memory_than_the_first_tenth_of_them(tmp_path: Path, programs: Programs) -> None:
    early, whole = peaks(tmp_path / "run", ROWS, programs)
    assert whole < LIMIT_MB, f"{early:.0f} MB at 10 %, {whole:.0f} MB at 100 %"
    assert whole <= GROWTH * early, f"{early:.0f} MB at 10 %, {whole:.0f} MB at 100 %"


def test_a_hundred_thousand_rows_stay_within_the_limit(tmp_path: Path, programs: Programs) -> None:
    _, whole = peaks(tmp_path / "run", ROWS // 10, programs)
    assert whole < LIMIT_MB


def test_one_batch_of_fifty_thousand_rows_that_gives_as_many_stays_within_the_limit(
    tmp_path: Path, programs: Programs
) -> None:
    (tmp_path / "pipeline.yaml").write_text(BATCH_SETTINGS, encoding="utf-8")
    (tmp_path / "first.py").write_text(FIRST, encoding="utf-8")
    with (tmp_path / "in.csv").open("w", encoding="utf-8") as file:
        file.write("id,email,name,amount\n")
        file.writelines(
            f"{row},person{row}@example.org,Person Number {row},{row * 1.25}\n" for row in range(BATCH_ROWS)
        )
    _, whole = watched(tmp_path, 0, programs)
    assert whole < LIMIT_MB
