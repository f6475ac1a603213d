"""The pipelines that are crashed: a folder each, with settings and input."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.compressed import PACK

ROWS = 400

DECIDING = """\
source:
  plugin: csv
  options:
    path: input.csv
    schema: {mode: free, fields: ["id: int", "amount: int"]}
    on_validation_failure: refused
transforms:
  - plugin: value_transform
    options: {operations: [{target: twice, expression: "row['amount'] * 2"}]}
  - plugin: keyword_filter
    options: {fields: [note], blocked_patterns: [secret]}
    on_error: refused
gates:
  - name: threshold
    condition: "row['amount'] > 1000"
    routes: {"true": high, "false": continue}
sinks:
  low: {plugin: csv, options: {path: output/low.csv}}
  high: {plugin: json, options: {path: output/high.json}}
  refused: {plugin: json, options: {path: output/refused.jsonl, format: jsonl}}
default_sink: low
checkpoint: {frequency: every_n, checkpoint_interval: 50}
landscape: {dump_to_jsonl: true}
concurrency: {max_workers: 2}
"""

BATCHING = """\
source:
  plugin: csv
  options:
    path: input.csv
    schema: {mode: free, fields: ["id: int", "amount: int"]}
    on_validation_failure: refused
aggregations:
  - name: sums
    plugin: batch_stats
    trigger: {count: 7}
    output_mode: transform
    options: {value_field: amount, compute_mean: true}
gates:
  - name: threshold
    condition: "row['sum'] > 7000"
    routes: {"true": high, "false": continue}
sinks:
  low: {plugin: csv, options: {path: output/low.csv}}
  high: {plugin: csv, options: {path: output/high.csv}}
  refused: {plugin: json, options: {path: output/refused.jsonl, format: jsonl}}
default_sink: low
checkpoint: {frequency: every_n, checkpoint_interval: 50}
concurrency: {max_workers: 2}
"""


PAYING = DECIDING + "payload_store: {inline_limit_bytes: 40}\n"
"""Most rows, and what becomes of them, lie in the payload store."""

PACKED = (
    DECIDING.replace("path: input.csv", "path: parts")
    .replace("output/low.csv", "output/low.csv.gz")
    .replace("output/high.json", "output/high.json.xz")
)
"""Everything is compressed, and the input is many files."""


FROM_STDIN = DECIDING.replace("path: input.csv", 'path: "-"')
"""The input comes by standard input, which is there once."""

CALLING = DECIDING.replace(
    "transforms:\n", "plugins: [ask.py]\ntransforms:\n  - {plugin: ask, pool_size: 4, on_error: refused}\n"
)
"""Each row asks a service, by a client of the plugin's own."""

KEEPING = CALLING + "payload_store: {inline_limit_bytes: 40}\n"
"""The same with most rows in the payload store: where workers are elsewhere, the main process writes all of that."""

ASK = '''\
"""A transform that asks a service: what was paid for is in `paid.log`, a line for each time."""

import os

from elspeth.plugins.contract import RowError, Transform


def pay(token, amount):
    handle = os.open("paid.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{token}\\n".encode())
    os.close(handle)
    if amount % 11 == 5:
        raise RowError("refused by the service")
    return {"score": amount % 7, "rest": [amount % 5]}


class Ask(Transform):
    name = "ask"

    def process(self, row, ctx):
        answer = ctx.recorded("score", {"amount": row["amount"]}, lambda: pay(ctx.token_id, row["amount"]))
        return {**row, "score": answer["score"], "rest": answer["rest"][0]}
'''


def lay_out(folder: Path, settings: str, rows: int = ROWS) -> Path:
    """Write settings and an input of `rows` rows, some of them wrong, into a new folder; answers the folder."""
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(settings, encoding="utf-8")
    (folder / "delay.py").write_text(DELAY, encoding="utf-8")
    (folder / "ask.py").write_text(ASK, encoding="utf-8")
    write_input(folder / "input.csv", rows)
    if settings.startswith(FROM_STDIN):
        (folder / "stdin").write_bytes((folder / "input.csv").read_bytes())
    if "path: parts" in settings:
        write_parts(folder / "parts", rows)
    return folder


def write_parts(folder: Path, rows: int) -> None:
    """The same rows in three files, each of two members of gzip."""
    folder.mkdir()
    for number in range(3):
        part = folder / f"{number}.csv"
        write_input(part, rows // 3, first=number * (rows // 3))
        data = part.read_bytes()
        part.with_suffix(".csv.gz").write_bytes(PACK[".gz"](data[:999]) + PACK[".gz"](data[999:]))
        part.unlink()


def write_input(path: Path, rows: int, first: int = 0) -> None:
    """The same rows every time: most of them good, one in twenty unreadable, one in twenty-five with a blocked word."""
    chance = random.Random(20)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,amount,note\n")
        for number in range(first, first + rows):
            amount = "many" if not number % 20 else chance.randrange(2000)
            note = "a secret" if not number % 25 else chance.choice(['"said ""so"""', "plain", '"two\nlines"', "é€"])
            file.write(f"{number},{amount},{note}\n")


SLOW = DECIDING.replace(
    "transforms:\n", "plugins: [delay.py]\ntransforms:\n  - {plugin: delay, options: {seconds: 0.01}}\n"
)
"""Long enough for somebody to come and see it run: some four seconds with one worker, half of that with two."""

DELAY = '''\
"""A transform that takes its time and says who took it."""

import os
import random
import time
from pathlib import Path

from elspeth.plugins.contract import PluginOptions, Transform


class DelayOptions(PluginOptions):
    seconds: float = 0.0
    random: bool = False
    diary: str = ""


class Delay(Transform):
    name = "delay"
    Options = DelayOptions

    def process(self, row, ctx):
        options = self.options
        time.sleep(random.random() * 2 * options.seconds if options.random else options.seconds)
        if options.diary:
            with (Path(options.diary) / str(os.getpid())).open("a") as file:
                file.write(f"{time.time()} {row['id']}\\n")
        return row
'''
"""A plugin file; in its diary folder each worker writes down the time at which it was done with each row."""
