"""A journal ends with a whole commit after every opening, and one that was changed does not hold."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.export.journal import Journal
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.journal import JournalVerdict, verify_journal
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, NewerVersion
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN, RUN_COLUMNS, beginning, extras, rows
from tests.kit.fixtures.unpack import layouts, run_ids, unpack
from tests.kit.processes.disk import Disk

OTHER = "mf3k2b00"
AT_THE_END = {table: records for table, records in extras().items() if table in ("artifacts", "supervision_events")}
ABOUT_ROWS = {table: records for table, records in extras().items() if table not in AT_THE_END}


@pytest.fixture
def place(path: Path) -> Path:
    return path.with_name("journal.jsonl")


@pytest.fixture
def written(path: Path, place: Path) -> bytes:
    """The journal of a completed run, as it was written commit by commit."""
    return write(path, place, RUN)


def write(path: Path, place: Path, run: str) -> bytes:
    writer = AuditWriter(path, signing_key=KEY)
    writer.create_run({**RUN_COLUMNS, "run_id": run}, ATTEMPT, beginning() if run == RUN else {})
    journal = Journal(place, run)
    writer.catch_up(journal)
    for number in range(3):
        if run == OTHER:
            records = {**rows(number * 5, number * 5 + 5, number=number + 1, run=run), "routing_events": []}
            records["node_states"] = []
        else:
            records = rows(number * 5, number * 5 + 5, number=number + 1)
        if run == RUN and number == 0:
            for table, further in ABOUT_ROWS.items():
                records[table] = [*records.get(table, ()), *further]
        writer.commit(run, 1, records)
        writer.write_journal(journal)
    end = {"status": "completed", "completed_at": NOW, "failure": None}
    writer.commit(run, 1, AT_THE_END if run == RUN else {}, end)
    writer.write_journal(journal)
    journal.close()
    writer.close()
    return place.read_bytes()


def opened(path: Path, place: Path, run: str = RUN) -> int:
    """Open it as the next attempt does, and whoever makes copies that are missing; how many commits were added."""
    journal = Journal(place, run)
    try:
        with AuditReader(path) as reader:
            return journal.catch_up(reader.connection)
    finally:
        journal.close()


def ends(data: bytes) -> list[int]:
    """Where each commit ends."""
    at, found = 0, []
    for line in data.splitlines(keepends=True):
        at += len(line)
        if line.startswith(b'{"table":"commits"'):
            found.append(at)
    return found


def damaged(data: bytes, how: str) -> bytes:
    """What a power cut makes of the last commit: pages that never reached the disk."""
    *_, before, end = ends(data)
    last = data.rindex(b"\n", 0, end - 1) + 1
    middle = (before + last) // 2
    return {
        "a hole": data[:middle] + b"\0" * 40 + data[middle + 40 :],
        "a hole at its beginning": data[:before] + b"\0" * 60 + data[before + 60 :],
        "a hole across line ends": data[: before + 30] + b"\0" * (last - before - 60) + data[last - 30 :],
        "older bytes": data[:middle] + b"x" * 9 + data[middle + 9 :],
        "a line that is missing": data[:before] + data[data.index(b"\n", before) + 1 :],
    }[how]


HOW = ["a hole", "a hole at its beginning", "a hole across line ends", "older bytes", "a line that is missing"]


@pytest.mark.parametrize("how", HOW)
def test_a_torn_last_commit_is_written_again_when_it_is_opened(
    how: str, path: Path, place: Path, written: bytes
) -> None:
    place.write_bytes(damaged(written, how))
    assert verify_journal(place).findings
    assert opened(path, place) == 0
    assert place.read_bytes() == written


@pytest.mark.parametrize("how", ["a hole", "a line that is missing"])
def test_whoever_shares_the_file_mends_it(how: str, path: Path, place: Path, written: bytes) -> None:
    whole = write(path, place, OTHER)
    place.write_bytes(damaged(whole, how))
    assert opened(path, place, RUN) == 0
    assert place.read_bytes() == whole
    assert whole.startswith(written)


@pytest.mark.parametrize("kept", range(6))
def test_what_was_cut_off_at_any_commit_is_caught_up(kept: int, path: Path, place: Path, written: bytes) -> None:
    place.write_bytes(written[: [0, *ends(written)][kept]])
    assert opened(path, place) == 5 - kept
    assert place.read_bytes() == written


def test_a_whole_one_is_not_touched(path: Path, place: Path, written: bytes) -> None:
    before = place.stat().st_mtime_ns
    assert opened(path, place) == 0
    assert (place.read_bytes(), place.stat().st_mtime_ns) == (written, before)


def test_what_was_purged_since_stays_in_it(path: Path, place: Path, written: bytes) -> None:
    writer = AuditWriter(path, signing_key=KEY)
    writer.purge(run_id=RUN, user="ada", uid=1000, command_line="elspeth purge")
    writer.close()
    assert opened(path, place) == 1
    assert place.read_bytes().startswith(written)
    assert verify_journal(place, KEY).findings == []


def test_one_that_is_ahead_of_the_database_is_left_alone(path: Path, place: Path, written: bytes) -> None:
    other = path.with_name("restored.db")
    AuditWriter(other).close()
    assert opened(other, place) == 0
    assert place.read_bytes() == written


def test_an_untouched_journal_holds_with_and_without_the_key(place: Path, written: bytes) -> None:
    for key in (KEY, None):
        verdict = verify_journal(place, key)
        assert (verdict.findings, verdict.behind) == ([], 0)
        assert verdict.runs[RUN].commit_no == 4


def changed(place: Path, data: bytes, key: bytes | None = None) -> JournalVerdict:
    place.write_bytes(data)
    return verify_journal(place, key)


@pytest.mark.parametrize("table", list(NEWEST.columns))
def test_a_changed_line_of_any_table_is_found(table: str, place: Path, written: bytes) -> None:
    lines = [json.loads(line) for line in written.splitlines()]
    at = [place for place, line in enumerate(lines) if line["table"] == table]
    if table == "operator_actions":
        assert not at  # what an operator does is caught up by the next attempt
        return
    for column in NEWEST.columns[table]:
        line = dict(lines[at[-1]])
        line[column] = f"{line[column]}x" if isinstance(line[column], str) or line[column] is None else 77
        data = [*lines[: at[-1]], line, *lines[at[-1] + 1 :]]
        assert changed(place, b"".join(json.dumps(value).encode() + b"\n" for value in data)).findings, column


def test_a_line_that_is_gone_or_twice_there_is_found(place: Path, written: bytes) -> None:
    lines = written.splitlines(keepends=True)
    for at in range(len(lines) - 1):
        assert changed(place, b"".join(lines[:at] + lines[at + 1 :])).findings, lines[at]
        assert changed(place, b"".join(lines[: at + 1] + lines[at:])).findings, lines[at]


def test_a_commit_that_is_gone_or_elsewhere_is_found(place: Path, written: bytes) -> None:
    at = [0, *ends(written)]
    parts = [written[start:end] for start, end in pairwise(at)]
    for gone in range(len(parts) - 1):
        assert changed(place, b"".join(parts[:gone] + parts[gone + 1 :])).findings
        swapped = [*parts[:gone], parts[gone + 1], parts[gone], *parts[gone + 2 :]]
        assert changed(place, b"".join(swapped)).findings


@pytest.mark.parametrize("kept", range(1, 5))
def test_with_the_key_one_that_was_cut_off_has_no_end(kept: int, place: Path, written: bytes) -> None:
    shorter = written[: ends(written)[kept - 1]]
    assert changed(place, shorter).findings == []
    assert [finding.kind for finding in changed(place, shorter, KEY).findings] == ["unfinished"]


def test_signatures_are_checked_with_the_key(place: Path, written: bytes) -> None:
    values = [json.loads(line) for line in written.splitlines()]
    for value in values:
        if value["table"] == "commits" and value["commit_no"] == 2:
            value["signature"] = None
    data = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    assert changed(place, data).findings == []
    assert [(one.kind, one.commit_no) for one in changed(place, data, KEY).findings] == [("signature", 2)]
    assert {one.kind for one in changed(place, written, b"another").findings} == {"signature"}


def test_what_somebody_who_died_left_behind_the_last_commit_is_counted(place: Path, written: bytes) -> None:
    for torn in (b'{"table":"rows","run', b'{"table":"rows","run_id":"mf3k2a9x","commit_no":5}\n{"ta'):
        verdict = changed(place, written + torn, KEY)
        assert (verdict.findings, verdict.behind) == ([], len(torn))


def test_a_later_layout_is_left_to_the_release_that_wrote_it(place: Path, written: bytes) -> None:
    with pytest.raises(NewerVersion, match="knows layouts up to"):
        changed(place, written.replace(b'"layout":%d' % NEWEST.number, b'"layout":%d' % (NEWEST.number + 1)))


def test_a_file_that_is_no_journal_is_said_to_be_none(place: Path) -> None:
    place.parent.mkdir(parents=True)
    for data in (b"", b"id,amount\n1,2\n", b"\0" * 100):
        with pytest.raises(ElspethError, match="is no journal"):
            changed(place, data)


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("name", ["completed", "interrupted"])
def test_a_kept_journal_holds_and_is_caught_up(name: str, layout: int, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name, layout=layout)
    (run,) = run_ids(folder)
    place = folder / "runs" / f"audit.{run}.jsonl"
    assert verify_journal(place).findings == []
    assert opened(folder / "runs" / "audit.db", place, run) <= 1
    assert verify_journal(place).findings == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"table":"commits","run_id":"mf3k2a9x","commit_no":5}',
        b'{"table":"commits","run_id":"mf3k2a9x","commit_no":"5","digest":7}',
        b'{"table":"commits","run_id":["mf3k2a9x"],"commit_no":0}',
        b'{"table":["rows"],"run_id":"mf3k2a9x"}',
        b'{"table":"rows","run_id":null}',
        b"[]",
    ],
)
def test_a_line_that_nobody_wrote_is_found_and_breaks_nothing(line: bytes, place: Path, written: bytes) -> None:
    end = written.splitlines(keepends=True)[-1].replace(b'"commit_no":4', b'"commit_no":5')
    for key in (KEY, None):
        assert changed(place, written + line + b"\n" + end, key).findings


def test_the_name_of_a_journal_is_on_disk_once_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, tmp_path)
    Journal(tmp_path / "copies" / "journal.jsonl", "mf3k2a9x").close()
    assert ("create", str(tmp_path / "copies" / "journal.jsonl")) in disk.calls
    assert disk.unsynced() == []
