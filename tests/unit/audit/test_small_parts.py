"""Small parts of the audit trail: words of both databases, marks, events, and how a database is found."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elspeth.audit import dialect
from elspeth.audit.mapping import typed_records
from elspeth.audit.mapping.pack import SAME
from elspeth.audit.query import locate, verdict
from elspeth.audit.store.attempts import caution_events, memory_marks
from elspeth.audit.store.commits.inserts import COPIED, _together
from elspeth.audit.store.place import PostgresPlace
from elspeth.coordinator.suspicion.caution import Caution
from elspeth.errors import ElspethError, SettingsError, Temporary

PLACE = PostgresPlace("postgresql://ada:hunter2@db.example/audit")


class Server:
    """A connection with a server: what it is asked for is written down."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def stream(self, sql: str, parameters: Any) -> Any:
        self.asked.append(("stream", sql, parameters))
        return iter([(1,)])

    def watch(self, given_up: Any) -> None:
        self.asked.append(("watch", given_up))

    def lock_writers(self) -> None:
        self.asked.append("lock")


def refused(state: str | None) -> Exception:
    error = RuntimeError("refused")
    error.sqlstate = state  # type: ignore[attr-defined]
    return error


def test_each_database_is_asked_in_its_own_words() -> None:
    server: Any = Server()
    with sqlite3.connect(":memory:") as file:
        assert dialect.is_sqlite(file)
        assert not dialect.is_sqlite(server)
        assert (dialect.holds(file, "a"), dialect.holds(server, "a")) == ("instr(a, ?) > 0", "strpos(a, ?) > 0")
        assert dialect.json_field(file, "a", "f") == "json_extract(a, '$.f')"
        assert "->> 'f'" in dialect.json_field(server, "a", "f")
        assert list(dialect.stream(file, "SELECT ?", (3,))) == [(3,)]
        assert list(dialect.stream(server, "SELECT ?", (3,))) == [(1,)]
        dialect.write_alone(file)
        dialect.write_alone(server)
        give_up = bool
        dialect.watch(server, give_up)
    assert server.asked == [("stream", "SELECT ?", (3,)), "lock", ("watch", give_up)]


def test_a_file_is_given_up_where_whoever_watches_says_so() -> None:
    with sqlite3.connect(":memory:") as file:
        dialect.watch(file, lambda: True)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            file.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000)"
                         " SELECT sum(i) FROM n").fetchall()  # fmt: skip


def test_why_an_insert_was_refused_is_told_apart() -> None:
    server: Any = Server()
    with sqlite3.connect(":memory:") as file:
        file.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c TEXT NOT NULL) STRICT")
        file.execute("INSERT INTO t VALUES (1, 'x', 'y')")
        found = []
        for values in ("(1, 'z', 'y')", "(2, 'x', 'y')", "(3, 'z', NULL)"):
            with pytest.raises(sqlite3.IntegrityError) as caught:
                file.execute(f"INSERT INTO t VALUES {values}")
            found.append((dialect.is_refusal(file, caught.value), dialect.is_duplicate(caught.value)))
        assert found == [(True, True), (True, True), (True, False)]
        assert not dialect.is_refusal(file, sqlite3.OperationalError("locked"))
    states = [dialect.is_refusal(server, refused(state)) for state in ("22021", "23505", "40001", None, "")]
    assert states == [True, True, False, False, False]
    assert [dialect.is_duplicate(refused(state)) for state in ("23505", "23502", None)] == [True, False, False]
    assert [dialect.is_nul(refused(state)) for state in ("22021", "22001", None)] == [True, False, False]


@pytest.mark.parametrize(
    ("value", "text"), [(None, None), (0, "0"), (-3, "-3"), (True, "1"), ("3", "'3"), ("", "'"), ("'x", "''x")]
)  # fmt: skip
def test_a_number_or_a_text_becomes_a_text_and_comes_back(value: Any, text: str | None) -> None:
    assert typed_records.mixed(value) == text
    assert typed_records.unmixed(text) == value


@pytest.mark.parametrize(
    "value", [None, bytes(range(32)), b"\x00" * 32, SAME, "", "x", "y" * 30, "y" * 31, "y" * 32, "é"]
)
def test_a_hash_or_what_stands_in_its_place_becomes_bytes_and_comes_back(value: Any) -> None:
    stored = typed_records.hashed(value)
    assert typed_records.unhashed(stored) == value
    assert (stored is not None and len(stored) == 32) == (type(value) is bytes)


@pytest.mark.parametrize("value", [None, 0, 1, 1500, 123_456_789])
def test_whole_microseconds_are_milliseconds_and_come_back(value: int | None) -> None:
    told = typed_records.milliseconds(value)
    assert told == (None if value is None else value / 1000)
    assert typed_records.whole_microseconds(told) == value


def mark(kills: int | None, boot: str = "b") -> dict[str, object]:
    return {"boot_id": boot, "oom_kills": kills}


@pytest.mark.parametrize(
    ("marks", "now", "ran_out"),
    [
        ({1: mark(3)}, mark(4), True), ({1: mark(3)}, mark(3), False), ({1: mark(3)}, mark(4, "other"), False),
        ({}, mark(4), False), ({2: mark(3)}, mark(9), False), ({1: mark(None)}, mark(4), False),
        ({1: mark(3)}, mark(None), False), ({1: mark(3), 2: mark(3)}, mark(9), False),
        ({1: mark(3), 2: mark(4), 3: mark(4)}, mark(4), True), ({1: mark(3), 3: mark(4), 2: mark(3)}, mark(9), False),
    ],
)  # fmt: skip
def test_memory_ran_out_in_an_attempt_if_the_kernel_killed_before_the_next(
    marks: dict[int, Any], now: Any, ran_out: bool
) -> None:
    assert memory_marks.ran_out(marks, 1, now) == ran_out


def test_the_mark_of_an_attempt_is_a_record_of_its_own() -> None:
    record = memory_marks.record("mf3k2a9x", 2)
    assert record[1:5] == (2, None, "memory", None)
    assert json.loads(record[5]).keys() == {"boot_id", "oom_kills"}


def test_how_an_attempt_begins_and_what_the_last_had_in_hand_are_events() -> None:
    event = caution_events.caution_event("mf3k2a9x", 3, Caution(40, recorded=True))
    assert (event[1], event[3], json.loads(event[5])) == (3, "caution", {"rows": 40, "recorded": True})
    event = caution_events.in_hand_event("mf3k2a9x", 3, 2, 17)
    assert (event[3], json.loads(event[5])) == ("in_hand", {"attempt": 2, "row_index": 17})
    held = [
        caution_events.held_event("mf3k2a9x", 3, 2, batches=batches, tokens=tokens)[5]
        for batches in ([], [("b@n", "n")])
        for tokens in ([], [{"token": "t", "sink": "out"}])
    ]
    assert [json.loads(text) for text in held] == [
        {"attempt": 2},
        {"attempt": 2, "tokens": [{"token": "t", "sink": "out"}]},
        {"attempt": 2, "batches": [{"batch": "b@n", "node": "n"}]},
        {"attempt": 2, "batches": [{"batch": "b@n", "node": "n"}], "tokens": [{"token": "t", "sink": "out"}]},
    ]


def test_small_records_are_copied_as_many_together_as_memory_is_for() -> None:
    frames = [SimpleNamespace(count=count) for count in (COPIED - 1, 1, COPIED, 5, 7)]
    assert [[frame.count for frame in some] for some in _together(frames)] == [  # type: ignore[arg-type]
        [COPIED - 1, 1], [COPIED], [5, 7],
    ]  # fmt: skip
    assert list(_together([])) == []


@pytest.mark.parametrize(
    ("token", "row"), [("mf3k2a9x-000000012", 12), ("mf3k2a9x-000000012.a", None), ("mf3k2a9x", None)]
)  # fmt: skip
def test_a_reason_names_its_row_if_the_token_is_a_rows_own(token: str, row: int | None) -> None:
    assert verdict.Reason("n", "no", 1, token).row == row


@pytest.mark.parametrize(
    ("reason", "alike"),
    [("field 'a' is 3", "field * is *"), ('says "x y" at 12:30', "says * at *:*"), ("plain", "plain")],
)
def test_reasons_that_differ_in_numbers_and_quoted_values_are_alike(reason: str, alike: str) -> None:
    assert verdict.VARYING.sub("*", reason) == alike


def database(path: Path, script: str = "CREATE TABLE other (a)") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def test_where_nothing_stands_it_is_said_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(locate.NoDatabaseYet) as caught:
        locate.locate(None, {}, tmp_path)
    assert list(caught.value.details) == [
        "ELSPETH_LANDSCAPE__URL is not set",
        *(f"{tmp_path / place} does not exist" for place in ("runs/audit.db", "state/audit.db", "data/audit.db")),
    ]
    assert caught.value.next_step == "name it with --database, or start a run, which creates one"


def test_what_is_not_ours_in_a_usual_place_is_passed_over_and_said(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/audit.db").write_bytes(b"")
    database(tmp_path / "state/audit.db")
    (tmp_path / "data/audit.db").mkdir(parents=True)
    with pytest.raises(ElspethError) as caught:
        locate.locate(None, {}, tmp_path)
    assert type(caught.value) is ElspethError  # something is there: it is not as if no run was ever started
    said = [detail.removeprefix(f"{tmp_path}/") for detail in caught.value.details[1:]]
    assert said == [
        "runs/audit.db is empty", "state/audit.db is a database of another program", "data/audit.db is not a file",
    ]  # fmt: skip


def test_the_word_of_the_command_line_counts_before_the_environments(tmp_path: Path) -> None:
    environ = {locate.VARIABLE: "sqlite:///of_environment.db"}
    with pytest.raises(SettingsError, match=r"named\.db does not exist") as caught:
        locate.locate("named.db", environ, tmp_path)
    assert list(caught.value.details) == ["named by --database"]
    with pytest.raises(ElspethError, match=r"of_environment\.db does not exist") as other:
        locate.locate(None, environ, tmp_path)
    assert type(other.value) is ElspethError
    assert list(other.value.details) == ["named by ELSPETH_LANDSCAPE__URL"]
    assert other.value.next_step == "name an existing one with --database"


def test_a_place_is_blank_where_there_is_no_file_or_no_table(tmp_path: Path) -> None:
    assert locate.is_blank(tmp_path / "gone.db")
    assert locate.is_blank(database(tmp_path / "made.db", "CREATE TABLE a (b); DROP TABLE a"))
    assert not locate.is_blank(database(tmp_path / "other.db"))
    (tmp_path / "text.db").write_text("no database" * 100)
    assert not locate.is_blank(tmp_path / "text.db")
    assert (locate.describe(tmp_path / "text.db") or "").startswith("cannot be used: ")


def test_a_relative_path_counts_from_the_directory_and_a_server_from_nowhere(tmp_path: Path) -> None:
    assert locate.within(Path("a.db"), tmp_path) == tmp_path / "a.db"
    assert locate.within(Path("/a.db"), tmp_path) == Path("/a.db")
    assert locate.within(PLACE, tmp_path) is PLACE


CODES: list[tuple[str, str, str]] = [
    ("08006", "was lost", "see that the server can be reached, then resume"),
    ("57P01", "was lost", "then resume"),
    ("57P02", "was lost", "then resume"),
    ("57P05", "was lost", "then resume"),
    ("25P03", "was lost", "then resume"),
    ("57P03", "cannot take it now", "mend it, then resume"),
    ("53100", "cannot take it now", "mend it, then resume"),
    ("57014", "took too long and was given up", "ask for less"),
    ("55P03", "is locked by another program", "end the session that holds it"),
    ("40P01", "gave a transaction up", "resume"),
    ("25006", "cannot be written", "name the server that is written to, then resume"),
    ("42501", "refused", "ask for the right to create in it"),
    ("3F000", "refused", "name a schema that the role owns"),
    ("28000", "refused", "name a schema"),
    ("28P01", "refused", "name a schema"),
    ("3D000", "refused", "name a schema"),
    ("58030", "is damaged, or its server is", "name another one with --database or landscape.url"),
    ("XX001", "is damaged, or its server is", "name another one"),
    ("23505", "refused", ""),
    ("42P01", "refused", ""),
]


@pytest.mark.parametrize(("code", "says", "next_step"), CODES)
def test_what_a_server_refuses_is_told_with_what_to_do(code: str, says: str, next_step: str) -> None:
    psycopg: Any = pytest.importorskip("psycopg")
    from elspeth.audit.store.postgres.errors import worded

    error = psycopg.Error("so it said\n  and more\n\n")
    error.sqlstate = code
    found = worded(error, PLACE)
    assert says in found.message
    assert next_step in (found.next_step or "")
    assert bool(next_step) == bool(found.next_step)
    told = " ".join((found.message, *found.details))
    assert ("so it said; and more" in told) == (code not in ("57014", "55P03"))


def test_what_is_no_address_and_what_does_not_fit_are_told_apart() -> None:
    psycopg: Any = pytest.importorskip("psycopg")
    from elspeth.audit.store.postgres.errors import worded

    address = worded(psycopg.ProgrammingError("missing ="), PLACE)
    assert isinstance(address, SettingsError)
    assert address.message.endswith("is no address of a database: missing =")
    assert address.next_step == "name another one with --database or landscape.url"
    assert "cannot hold this: too large" in worded(psycopg.DataError("too large"), PLACE).message
    assert isinstance(worded(psycopg.OperationalError("connection failed: could not receive data"), PLACE), Temporary)
    wrong = worded(psycopg.OperationalError('connection failed: FATAL:  role "ada" does not exist'), PLACE)
    assert wrong.message.endswith('refused: role "ada" does not exist')
    assert "PGPASSWORD" in (wrong.next_step or "")
    away = worded(psycopg.OperationalError("timeout expired"), PLACE)
    assert list(away.details) == ["timeout expired"]
    assert "is not reachable" in away.message
    assert list(worded(psycopg.OperationalError(""), PLACE).details) == ["OperationalError"]
