"""Many compressed files as one source, as a user sees them: plan, run, explain, changes, collisions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.compressed import PACK, plain_bytes
from tests.kit.processes.running import elspeth, killed_before_its_end

SETTINGS = """\
source: {plugin: csv, options: {path: "in/*.csv.gz"}, on_validation_failure: bad}
sinks:
  out: {plugin: csv, options: {path: out.csv.zst}}
  bad: {plugin: json, options: {path: bad.jsonl}}
default_sink: out
"""
RUN = ("run", "--execute")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.yaml").write_text(SETTINGS)
    (tmp_path / "in").mkdir()
    for name, text in (("b", "id,n\n3,c\nbad\n"), ("a", "id,n\n1,a\n2,b\n")):
        (tmp_path / "in" / f"{name}.csv.gz").write_bytes(PACK[".gz"](text.encode()))
    return tmp_path


def test_a_run_reads_all_of_them_and_explain_names_the_file(folder: Path) -> None:
    assert "in/a.csv.gz, in/b.csv.gz" in elspeth("run", cwd=folder).stdout
    assert elspeth(*RUN, cwd=folder).returncode == 0
    assert plain_bytes(folder / "out.csv.zst") == b"id,n\r\n1,a\r\n2,b\r\n3,c\r\n"
    (refused,) = map(json.loads, (folder / "bad.jsonl").read_text().splitlines())
    assert refused["_error"] == "in in/b.csv.gz: has 1 field where 2 are expected"
    for row, place in ((1, "in/a.csv.gz, line 3"), (2, "in/b.csv.gz, line 2"), (3, "in/b.csv.gz, line 3")):
        assert f"Read from {place}," in elspeth("explain", "--run", "latest", "--row", str(row), cwd=folder).stdout
    assert elspeth("verify", "latest", "--outputs", cwd=folder).returncode == 0


def test_a_completed_run_is_left_alone_until_a_file_comes_or_changes(folder: Path) -> None:
    again = (*RUN, "--auto-resume")
    assert elspeth(*again, cwd=folder).returncode == 0
    assert "Nothing was done" in elspeth(*again, cwd=folder).stdout
    (folder / "in" / "c.csv.gz").write_bytes(PACK[".gz"](b"id,n\n9,z\n"))
    assert "Nothing was done" not in elspeth(*again, cwd=folder).stdout
    assert plain_bytes(folder / "out.csv.zst").endswith(b"9,z\r\n")
    path = folder / "in" / "a.csv.gz"
    facts = path.stat()
    path.write_bytes(path.read_bytes().replace(b"\x00\x00\x00\x00", b"\x00\x00\x00\x01", 1))
    assert path.stat().st_size == facts.st_size
    assert "Nothing was done" not in elspeth(*again, cwd=folder).stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "in/a.csv.gz was there when the run began"),
        (lambda path: path.write_bytes(PACK[".gz"](b"id,n\n1,a\n2,c\n3,d\n")), "in/a.csv.gz had"),
    ],
    ids=["gone", "changed"],
)
def test_a_file_that_vanishes_or_changes_before_a_resume_is_exit_7(change, words: str, folder: Path) -> None:
    killed_before_its_end(folder, *RUN)
    out = (folder / "out.csv.zst").read_bytes()
    change(folder / "in" / "a.csv.gz")
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 7, done.stderr
    assert words in " ".join(done.stderr.split())
    assert (folder / "out.csv.zst").read_bytes() == out


@pytest.mark.parametrize("output", ["in/a.csv.gz", "link"])
def test_no_output_is_one_of_the_files(output: str, folder: Path) -> None:
    (folder / "link").hardlink_to(folder / "in" / "b.csv.gz")
    (folder / "pipeline.yaml").write_text(SETTINGS.replace("out.csv.zst", output))
    before = (folder / "in" / "a.csv.gz").read_bytes()
    for words in (("validate",), RUN):
        done = elspeth(*words, cwd=folder)
        assert done.returncode == 2
        assert "use the same file" in done.stderr
    assert (folder / "in" / "a.csv.gz").read_bytes() == before


def test_nothing_to_read_is_a_warning_of_validate_and_a_refusal_of_run(folder: Path) -> None:
    (folder / "pipeline.yaml").write_text(SETTINGS.replace("*.csv.gz", "*.tsv"))
    assert elspeth("validate", cwd=folder).returncode == 0
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode == 2
    assert "in/*.tsv: this pattern fits no file" in " ".join(done.stderr.split())
    assert not (folder / "runs").exists()


def test_a_truncated_file_among_many_stops_the_run_which_goes_on_when_it_is_whole(folder: Path) -> None:
    path = folder / "in" / "b.csv.gz"
    whole = PACK[".gz"](b"id,n\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(10_000)))
    path.write_bytes(whole[:-4])
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode == 75, done.stderr
    assert "in/b.csv.gz ends in the middle: it is cut off behind" in " ".join(done.stderr.split())
    path.write_bytes(whole)
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 7, done.stderr  # its size is not what it was when the run began
    assert elspeth(*RUN, "--force-new", cwd=folder).returncode == 0


def test_a_truncated_single_file_goes_on_when_it_is_whole(folder: Path) -> None:
    (folder / "pipeline.yaml").write_text(SETTINGS.replace("in/*.csv.gz", "in/one.csv.gz"))
    path = folder / "in" / "one.csv.gz"
    text = b"id,n\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(60_000))
    whole = PACK[".gz"](text)
    path.write_bytes(whole[: len(whole) // 2])
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode == 75, done.stderr
    assert "Put the whole file in its place, then resume the run" in " ".join(done.stderr.split())
    path.write_bytes(whole)
    assert elspeth("resume", "latest", cwd=folder).returncode == 0
    assert plain_bytes(folder / "out.csv.zst") == text.replace(b"\n", b"\r\n")
