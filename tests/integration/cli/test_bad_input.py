"""Everyday input that is not what it should be: a sentence for each, and nothing half written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.compressed import PACK
from tests.kit.processes.running import begin, elspeth, killed_before_its_end, wait_until

TEXT = b"id,v\n1,a\n2,b\n"
GZIP = PACK[".gz"]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Bad:
    """An input that stops the run before it begins, with this exit code and these words."""

    files: Files
    options: dict[str, Any]
    words: str
    code: int = 2
    steps: str = ""


BEFORE_A_RUN = {
    "a truncated archive": Bad(
        {"in.csv.gz": GZIP(TEXT)[:-5]}, {"path": "in.csv.gz"}, "in.csv.gz ends in the middle: it is cut off behind", 75
    ),
    "an archive that is none": Bad({"in.csv.gz": TEXT}, {"path": "in.csv.gz"}, "is to be gzip, and it begins with"),
    "a glob without a file": Bad({}, {"path": "*.tsv"}, "*.tsv: this pattern fits no file"),
    "a folder without a file": Bad({"in/sub/x.csv": TEXT}, {"path": "in"}, "in: this folder holds no file"),
    "a list with a file that is not there": Bad({"a.csv": TEXT}, {"path": ["a.csv", "b.csv"]}, "b.csv cannot be read"),
    "a list of files with unlike headers": Bad(
        {"a.csv": TEXT, "b.csv": b"id,other\n3,c\n"}, {"path": ["a.csv", "b.csv"]},
        "b.csv has another header than a.csv: it lacks v and has other besides",
    ),
    "an empty file that is refused": Bad(
        {"in.csv.gz": GZIP(b"")}, {"path": "in.csv.gz", "on_empty": "refuse"}, "in.csv.gz is empty (0 bytes)"
    ),
    "a lookup with a doubled key": Bad(
        {"in.csv": TEXT, "known.csv": b"k,n\n1,x\n1,y\n"}, {"path": "in.csv"}, "known.csv",
        steps="transforms: [{plugin: lookup, options: {path: known.csv, keys: {id: k}, fields: {n: n}}}]\n",
    ),
    "a pattern that could run away": Bad(
        {"in.csv": TEXT}, {"path": "in.csv"}, "pattern",
        steps="gates: [{name: g, condition: \"matches('(a+)+$', row['v'])\", routes: {'true': out, 'false': out}}]\n",
    ),
    "a footer and a header that contradict the file": Bad(
        {"in.csv": b"id;v\n1;a\nsum;1\n"}, {"path": "in.csv", "skip_footer": 1}, "has a header of one field"
    ),
}  # fmt: skip


def lay(folder: Path, files: Files, options: dict[str, Any], steps: str = "", plugin: str = "csv") -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "pipeline.yaml").write_text(
        f"source: {{plugin: {plugin}, options: {json.dumps(options)}, on_validation_failure: bad}}\n{steps}"
        "sinks:\n  out: {plugin: json, options: {path: output/out.jsonl}}\n"
        "  bad: {plugin: json, options: {path: output/bad.jsonl}}\ndefault_sink: out\n"
    )


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("what", BEFORE_A_RUN)
def test_what_is_seen_before_a_run_writes_nothing(what: str, tmp_path: Path) -> None:
    bad = BEFORE_A_RUN[what]
    lay(tmp_path, bad.files, bad.options, bad.steps)
    done = elspeth("run", "--execute", cwd=tmp_path)
    assert done.returncode == bad.code, done.stderr
    assert bad.words in " ".join(done.stderr.split())
    assert not (tmp_path / "output").exists()
    assert not (tmp_path / "runs" / "audit.db").exists()


@pytest.mark.parametrize(
    ("what", "name", "data"),
    [
        ("no byte", "in.csv.gz", b""),
        ("nothing, packed", "in.csv.gz", GZIP(b"")),
        ("nothing, as xz", "in.csv.xz", PACK[".xz"](b"")),
        ("plain", "in.csv", b""),
        ("a comment alone", "in.csv", b"# a comment\n\n"),
        ("a packed comment alone", "in.csv.gz", GZIP(b"# a comment\n\n")),
        ("json lines", "in.jsonl.gz", GZIP(b"")),
        ("text", "in.txt.gz", GZIP(b"")),
    ],
)
def test_an_empty_input_is_said_to_be_empty_and_not_to_have_grown(
    what: str, name: str, data: bytes, tmp_path: Path
) -> None:
    plugin = {"jsonl": "json", "txt": "text"}.get(name.split(".")[1], "csv")
    lay(tmp_path, {name: data}, {"path": name, **({"comment": "#"} if plugin == "csv" else {})}, plugin=plugin)
    done = elspeth("run", "--execute", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stderr + done.stdout).split())
    if "comment" not in what:
        assert f"{name} is empty (0 bytes)" in said
    assert "grown" not in said


def test_archives_one_behind_the_other_are_one_input(tmp_path: Path) -> None:
    lay(tmp_path, {"in.csv.gz": GZIP(TEXT) + GZIP(b"3,c\n")}, {"path": "in.csv.gz"})
    assert elspeth("run", "--execute", cwd=tmp_path).returncode == 0
    assert [row["id"] for row in rows(tmp_path / "output/out.jsonl")] == ["1", "2", "3"]


def test_an_archive_that_unpacks_to_a_hundred_times_its_size_stops_the_run_and_what_was_written_is_on_record(
    tmp_path: Path,
) -> None:
    data = b"id,v\n" + b"1,%s\n" % (b"a" * 100_000) * 400
    lay(tmp_path, {"in.csv.gz": GZIP(data)}, {"path": "in.csv.gz"})
    assert len(data) > 100 * (tmp_path / "in.csv.gz").stat().st_size
    done = elspeth("run", "--execute", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "unpacks to more than max_expansion allows" in " ".join(done.stderr.split())
    assert elspeth("verify", "latest", cwd=tmp_path).returncode == 0
    counted = len(rows(tmp_path / "output/out.jsonl"))
    assert 0 < counted < 400


CHANGES: dict[str, tuple[Callable[[Path], object], str, int]] = {
    "changes": (lambda folder: (folder / "b.csv").write_bytes(TEXT + b"9,z\n"), "b.csv had 13 bytes when the run", 7),
    "vanishes": (lambda folder: (folder / "b.csv").unlink(), "b.csv was there when the run began", 7),
    "appears": (lambda folder: (folder / "c.csv").write_bytes(TEXT), "source files appeared since the run began", 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_of_a_glob_that_changes_vanishes_or_appears_during_the_run(change: str, tmp_path: Path) -> None:
    act, words, code = CHANGES[change]
    lay(
        tmp_path, {"in/a.csv": TEXT, "in/b.csv": TEXT}, {"path": "in/*.csv"},
        "plugins: [change.py]\ntransforms: [{plugin: change}]\n",
    )  # fmt: skip
    (tmp_path / "change.py").write_text(
        "import subprocess, sys, time\nfrom pathlib import Path\nfrom elspeth.plugins.contract import Transform\n\n\n"
        "class Change(Transform):\n    name = 'change'\n\n    def process(self, row, ctx):\n"
        "        if row['id'] == '1':\n            Path('reached').touch()\n"
        "            while not Path('go').exists():\n                time.sleep(0.02)\n        return row\n"
    )
    # The first file is one chunk; the next is not begun before its rows may go: 20,000 more keep the source waiting.
    (tmp_path / "in" / "a.csv").write_bytes(TEXT + b"".join(b"7%d,x\n" % number for number in range(200_000)))
    process = begin("run", "--execute", cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)
    act(tmp_path / "in")
    (tmp_path / "go").touch()
    out, err = process.communicate()
    assert process.returncode == code, err
    assert words in " ".join((out + err).split())
    if code:
        assert elspeth("resume", "latest", cwd=tmp_path).returncode == 7
    assert len(rows(tmp_path / "output/out.jsonl")) <= 200_004


ROWS = {
    "a date that does not exist": (
        {"fields": ["v: date"]}, {}, "2024-02-30", "there is no such day", "2024-02-29", "2024-02-29",
    ),
    "the hour that exists twice": (
        {"fields": ["v: datetime"]},
        {"dates": {"v": {"format": "%d.%m.%Y %H:%M", "timezone": "Europe/Berlin"}}},
        "27.10.2024 02:30", "twice", "27.10.2024 03:30", "2024-10-27T03:30:00+01:00",
    ),
    "the hour that does not exist": (
        {"fields": ["v: datetime"]},
        {"dates": {"v": {"format": "%d.%m.%Y %H:%M", "timezone": "Europe/Berlin"}}},
        "31.03.2024 02:30", "clocks never showed that time", "31.03.2024 03:30", "2024-03-31T03:30:00+02:00",
    ),
    "a decimal beyond 10,000 digits": (
        {"fields": ["v: decimal"]}, {}, "1" * 10_001, "a decimal has at most 10,000", "1" * 10_000, "1" * 10_000,
    ),
    "a number that is none": ({"fields": ["v: decimal"]}, {}, "1,5", "it is no decimal number", "1.5", "1.5"),
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_a_value_that_cannot_be_is_a_refused_row_with_the_reason_and_the_others_go_on(
    what: str, tmp_path: Path
) -> None:
    schema, options, bad, words, good, canonical = ROWS[what]
    text = f'v\n"{bad}"\n"{good}"\n'.encode()
    lay(tmp_path, {"in.csv": text}, {"path": "in.csv", "schema": {"mode": "fixed", **schema}, **options})
    done = elspeth("run", "--execute", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (refused,) = rows(tmp_path / "output/bad.jsonl")
    assert words in refused["_error"]
    assert rows(tmp_path / "output/out.jsonl") == [{"v": canonical}]


def test_years_of_two_digits_are_refused_until_it_is_said_which(tmp_path: Path) -> None:
    schema = {"mode": "fixed", "fields": ["v: date"]}
    for more, code in (({}, 2), ({"years_from": 1950}, 0)):
        lay(
            tmp_path, {"in.csv": b"v\n01.02.49\n01.02.50\n"},
            {"path": "in.csv", "schema": schema, "dates": {"v": {"format": "%d.%m.%y", **more}}},
        )  # fmt: skip
        done = elspeth("run", "--execute", cwd=tmp_path)
        assert done.returncode == code, done.stderr
        if code:
            assert "has years of two digits" in " ".join(done.stderr.split())
            assert not (tmp_path / "output").exists()
    assert [row["v"] for row in rows(tmp_path / "output/out.jsonl")] == ["2049-02-01", "1950-02-01"]


def test_a_lookup_without_the_key_and_a_function_on_the_wrong_type_are_errors_of_their_rows(tmp_path: Path) -> None:
    steps = (
        "transforms:\n"
        "  - {plugin: lookup, options: {path: known.csv, keys: {id: k}, fields: {n: n}}, on_error: bad}\n"
        "  - {plugin: value_transform, options: {operations: [{target: w, expression: \"abs(row['v'])\"}]}, on_error: "
        "bad}\n"
    )
    lay(tmp_path, {"in.csv": TEXT, "known.csv": b"k,n\n1,X\n"}, {"path": "in.csv"}, steps)
    done = elspeth("run", "--execute", "--allow-all-failed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wrong, missing = sorted(rows(tmp_path / "output/bad.jsonl"), key=lambda row: row["id"])
    assert "known.csv has no record for id '2'" in missing["_error"]
    assert "abs" in wrong["_error"]
    assert "'a'" in wrong["_error"]


def test_a_lookup_file_that_changed_since_is_exit_6(tmp_path: Path) -> None:
    steps = "transforms: [{plugin: lookup, options: {path: known.csv, keys: {id: k}, fields: {n: n}}}]\n"
    lay(tmp_path, {"in.csv": TEXT, "known.csv": b"k,n\n1,x\n2,y\n"}, {"path": "in.csv"}, steps)
    killed_before_its_end(tmp_path, "run", "--execute")
    (tmp_path / "known.csv").write_bytes(b"k,n\n1,x\n2,z\n")
    before = (tmp_path / "output/out.jsonl").read_bytes()
    done = elspeth("resume", "latest", cwd=tmp_path)
    assert done.returncode == 6, done.stderr
    assert "known.csv" in done.stderr
    assert (tmp_path / "output/out.jsonl").read_bytes() == before
