"""A pipeline over each kind of file, killed as a whole again and again: the output is what it is without a death."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.compressed import PACK, plain_bytes
from tests.kit.processes.program import Programs
from tests.kit.processes.recorded_run import query, run_id

ROWS = 120
EXPECTED = b"id,n\r\n" + b"".join(b'%d,"no, %d"\r\n' % (number, number * 7) for number in range(ROWS))
REFUSED = (17, 18, 90)


def csv(first: int, last: int, *, refused: str = "{number}") -> bytes:
    lines = ["id,n"]
    for number in range(first, last):
        lines += [refused.format(number=number)] * (number in REFUSED)
        lines.append(f'{number},"no, {number * 7}"')
    return "\n".join(lines).encode() + b"\n"


def packed(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        data = csv(0, ROWS)
        (folder / f"in.csv{suffix}").write_bytes(PACK[suffix](data[:500]) + PACK[suffix](data[500:]))

    return write


def many(folder: Path) -> None:
    (folder / "in").mkdir()
    for part in range(4):
        data = csv(part * 30, part * 30 + 30)
        name, pack = (f"{part}.csv.gz", PACK[".gz"]) if part % 2 else (f"{part}.csv", bytes)
        (folder / "in" / name).write_bytes(pack(data))


def lenient(folder: Path) -> None:
    lines = ["# a report", "id; n", ""]
    for number in range(ROWS):
        lines += ["# a comment; with; marks"] * (number % 10 == 3) + ["# again"] * (number in REFUSED)
        lines += [f"{number}; no, {number * 7}"] if number % 2 else [f'{number}; "no\\, {number * 7}";too;many']
        lines += ["many;; fields;"] * (number in REFUSED)
    (folder / "in.csv").write_bytes("\r".join([*lines, "sum; 9", 'end "of it']).encode())


def concatenated(folder: Path) -> None:
    (folder / "in").mkdir()
    for part in range(3):
        text = ""
        for number in range(part * 40, part * 40 + 40):
            value = {"id": str(number), "n": f"no, {number * 7}"}
            text += json.dumps({"id": f"{number}?"}) * (number in REFUSED)
            text += json.dumps(value, indent=number % 3 or None) + "\n" * (number % 2)
        (folder / "in" / f"{part}.json").write_text(text)


def stdin(folder: Path) -> None:
    (folder / "stdin").write_bytes(PACK[".gz"](csv(0, ROWS)))


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is written, the source's options, and how the output is compressed."""

    write: Callable[[Path], None]
    options: dict[str, Any]
    plugin: str = "csv"
    suffix: str = ""


KINDS = {
    **{suffix: Kind(packed(suffix), {"path": f"in.csv{suffix}"}, suffix=suffix) for suffix in PACK},
    "many": Kind(many, {"path": "in"}),
    "lenient": Kind(lenient, {
        "path": "in.csv", "delimiter": ";", "initial_space": True, "escapechar": "\\", "comment": "#", "line_end": "cr",
        "ragged": "cut", "skip_footer": 2,
    }),
    "concatenated": Kind(concatenated, {"path": "in/*.json", "format": "concatenated"}, plugin="json"),
    "stdin": Kind(stdin, {"path": "-", "compression": "gzip"}, suffix=".gz"),
}  # fmt: skip

KILLS = [("source.after_send", 2), ("audit.after_commit", 2), ("sink.after_flush", 2), ("worker.after_row", 7)]


def lay_out(folder: Path, kind: Kind) -> Path:
    folder.mkdir()
    kind.write(folder)
    options = json.dumps({**kind.options, "schema": {"mode": "free", "fields": ["id: int", "n: str"]}})
    (folder / "pipeline.yaml").write_text(
        f"source: {{plugin: {kind.plugin}, options: {options}, on_validation_failure: bad}}\n"
        f"sinks:\n  out: {{plugin: csv, options: {{path: output/out.csv{kind.suffix}}}}}\n"
        "  bad: {plugin: json, options: {path: output/bad.jsonl}}\n"
        "default_sink: out\ncheckpoint: {frequency: every_n, checkpoint_interval: 10}\n"
        "concurrency: {max_workers: 2}\n"
    )
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_a_run_over_this_kind_of_file_that_dies_and_dies_again_is_resumed(
    name: str, tmp_path: Path, programs: Programs
) -> None:
    kind = KINDS[name]
    folder = lay_out(tmp_path / "run", kind)
    words: tuple[str, ...] = ("run", "--execute")
    for point, passing in KILLS:
        mark = tmp_path / point
        arms = {"CRASH_POINT": f"{point}:{passing}:{mark}", "CRASH_GROUP": "1"}
        programs.start(folder, *words, **arms).ends_with(-9)
        assert mark.exists(), f"{point} did not fire"
        words = ("resume", run_id(folder / "runs/audit.db"))
    programs.call(folder, *words)
    out = folder / f"output/out.csv{kind.suffix}"
    assert (plain_bytes(out) if kind.suffix else out.read_bytes()) == EXPECTED
    bad = (folder / "output/bad.jsonl").read_text().splitlines()
    assert len(bad) == len(REFUSED)
    assert query(folder / "runs/audit.db", "SELECT count(*), max(attempt) FROM run_attempts") == [(5, 5)]
    programs.call(folder, "verify", words[1], "--outputs")
