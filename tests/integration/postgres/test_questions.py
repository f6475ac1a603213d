"""Everything that is asked of an audit database has the same answer in PostgreSQL as in SQLite."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.batch_store import BatchStore
from elspeth.audit.explain.listing import outcomes
from elspeth.audit.explain.listing import rows as listed
from elspeth.audit.explain.session import explain_session
from elspeth.audit.export.folder import export_run
from elspeth.audit.export.journal import Journal
from elspeth.audit.purge import PURGE, REMOVE, finished, was_interrupted
from elspeth.audit.query.counters import counters
from elspeth.audit.query.error_kinds import by_reason, errors, slowest
from elspeth.audit.query.payload_references import references
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.verdict import all_failed, reasons
from elspeth.audit.query.waiting import waiting
from elspeth.audit.store.place import Place, place_of
from elspeth.audit.store.tallies import on_record
from elspeth.audit.verify.exported import verify_export
from elspeth.audit.verify.journal import verify_journal
from elspeth.audit.verify.links import held_by_later
from elspeth.audit.verify.outputs import check_outputs, payload_findings
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, RUN, RUN_COLUMNS, beginning, rows, write_run
from tests.kit.postgres.databases import Database

OTHER = "mf3k2b00"
ANOTHER_VIEW = (
    "CREATE OR REPLACE VIEW failures_by_reason AS SELECT run_id, node_id, error AS reason, 1::bigint AS tokens,"
    " row_id AS example FROM validation_errors"
)
WHO: dict[str, Any] = {"run_id": RUN, "user": "ada", "uid": 1000, "command_line": "elspeth purge", "reason": None}


def filled(place: Place) -> Place:
    """A run with records of every kind, and one beside it that goes on."""
    write_run(place)  # type: ignore[arg-type]
    writer = AuditWriter(place, signing_key=KEY)
    writer.create_run({**RUN_COLUMNS, "run_id": OTHER}, ATTEMPT, {**beginning(), "checkpoints": []})
    writer.commit(OTHER, 1, rows(0, 3, run=OTHER) | {"checkpoints": []})
    writer.begin_attempt(OTHER, 1, ATTEMPT, {})
    writer.close()
    return place


def _explained(place: Place) -> Any:
    with explain_session(place, "latest") as session:
        latest = session.run_id
    with explain_session(place, RUN, lambda: False) as session:
        lineage = session.lineage
        return (
            latest, lineage.row(0), lineage.row(5), lineage.token(f"{RUN}-000000000.right"),
            session.search(("amount=40",)), session.search(("id=3", "amount=31")),
        )  # fmt: skip


def _read(ask: Callable[[AuditReader], Any]) -> Callable[[Place], Any]:
    def asked(place: Place) -> Any:
        with AuditReader(place) as reader, reader.snapshot():
            return ask(reader)

    return asked


def _batch(place: Place) -> Any:
    store = BatchStore(place)
    batch = f"{RUN}-000000000@stats"
    found = (
        store.members(batch), list(store.each_member(batch, 5)), store.waiting("stats", RUN, f"{RUN}~"),
        store.decided(batch), store.decided("none"),
    )  # fmt: skip
    store.close()
    return found


def _as_shown(value: Any, place: Place) -> str:
    """What was answered, without where and when: nothing else may differ."""
    return re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "WHEN", repr(value).replace(str(place), "WHERE"))


QUESTIONS: dict[str, Callable[[Place], Any]] = {
    "explain": _explained,
    "listing": lambda place: (list(listed(place, RUN)), list(outcomes(place, RUN))),
    "counters": _read(lambda reader: (counters(reader, RUN), counters(reader, OTHER))),
    "tallies": _read(lambda reader: on_record(reader.connection, RUN)),
    "errors": _read(lambda reader: (errors(reader, RUN, data=True), by_reason(reader, RUN))),
    "slowest": _read(lambda reader: len(slowest(reader, RUN))),
    "verdict": _read(lambda reader: (all_failed(reader, RUN), reasons(reader, RUN))),
    "waiting": _read(lambda reader: waiting(reader, reader.run(OTHER))),
    "references": _read(lambda reader: list(references(reader.connection, RUN))),
    "outputs": _read(lambda reader: check_outputs(reader.connection, RUN, lambda run: True)),
    "payloads": _read(lambda reader: list(payload_findings(reader.connection, RUN))),
    "runs": _read(lambda reader: (reader.runs(), reader.unfinished(), reader.run("mf3k2a").run_id)),
    "attempts": _read(lambda reader: (reader.attempts(RUN), reader.attempts(OTHER), reader.heartbeats())),
    "events": _read(lambda reader: [(event.event_id, event.detail) for event in reader.events(RUN)]),
    "counts": _read(lambda reader: (reader.source_counts(RUN), reader.sink_counts(RUN), reader.refusal_count(RUN))),
    "held": _read(lambda reader: held_by_later(reader.connection, RUN)),
    "batches": _batch,
}


@pytest.fixture
def both(postgres: Database, tmp_path: Path) -> tuple[Place, Place]:
    return filled(tmp_path / "audit.db"), filled(place_of(postgres.url))


def test_every_question_has_the_same_answer(both: tuple[Place, Place]) -> None:
    file, server = both
    for name, ask in QUESTIONS.items():
        assert _as_shown(ask(server), server) == _as_shown(ask(file), file), name


def test_what_was_recorded_is_verified(both: tuple[Place, Place]) -> None:
    for place in both:
        with AuditReader(place) as reader:
            assert verify_run(reader, RUN, KEY) == []
            assert verify_run(reader, OTHER) == []


def test_an_export_says_the_same_and_verifies(both: tuple[Place, Place], tmp_path: Path) -> None:
    folders = []
    for number, place in enumerate(both):
        with AuditReader(place) as reader:
            folders.append(tmp_path / f"export{number}")
            export_run(reader, RUN, folders[-1], KEY)
        # The fixture's references lead to no payload.
        assert {finding.kind for finding in verify_export(folders[-1], KEY).findings} == {"payload"}
    for path in folders[0].glob("*.jsonl"):
        if path.stem in {"tokens", "node_states", "rows", "nodes", "token_outcomes", "routing_events", "calls"}:
            assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_a_journal_is_caught_up_from_the_tables(both: tuple[Place, Place], tmp_path: Path) -> None:
    for number, place in enumerate(both):
        journal = Journal(tmp_path / f"journal{number}.jsonl", RUN)
        with AuditReader(place) as reader:
            assert journal.catch_up(reader.connection) == len(reader.commits(RUN))
        journal.close()
        assert verify_journal(tmp_path / f"journal{number}.jsonl", KEY).findings == []


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_purged_is_gone_and_the_chain_holds(both: tuple[Place, Place], postgres: Database, whole: bool) -> None:
    left = []
    for place in both:
        writer = AuditWriter(place, signing_key=KEY)
        writer.purge(**WHO, whole=whole)
        writer.purge(**WHO, whole=whole)  # as after a crash
        writer.close()
        with AuditReader(place) as reader:
            assert verify_run(reader, RUN, KEY) == []
            assert finished(reader.connection, RUN, REMOVE if whole else PURGE)
            assert not was_interrupted(reader.connection, RUN)
            left.append(
                {
                    table: sorted(
                        map(repr, reader.connection.execute(f"SELECT * FROM {table} WHERE run_id = ?", (RUN,)))
                    )
                    for table in ("rows", "node_states", "tokens", "calls", "routing_events", "names")
                }
            )
    assert left[0] == left[1]


def test_what_somebody_changed_is_named(both: tuple[Place, Place], postgres: Database) -> None:
    changes = (
        (
            "UPDATE token_records SET source_data = '{}' WHERE token_id = 'mf3k2a9x-000000004'",
            "rows mf3k2a9x-000000004",
        ),
        ("DELETE FROM outcome_records WHERE outcome_id = 'mf3k2a9x-000000007='", "token_outcomes"),
        ("UPDATE state_records SET took = '5' WHERE state_id = 'mf3k2a9x-000000008:1'", "node_states"),
    )
    for change, named in changes:
        postgres.ask(change)
        with AuditReader(both[1]) as reader:
            assert named in " ".join(finding.sentence for finding in verify_run(reader, RUN, KEY))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("ALTER TABLE calls ADD COLUMN more TEXT", "table calls was altered"),
        ("ALTER TABLE calls ALTER COLUMN status DROP NOT NULL", "table calls was altered"),
        ("CREATE TABLE more (id INT)", "table more was added"),
        ("DROP VIEW row_story", "view row_story is missing"),
        (ANOTHER_VIEW, "view failures_by_reason was altered"),
        ("UPDATE elspeth_schema SET version = 1", "the schema's stamp is 1"),
    ],
)
def test_a_schema_that_was_altered_is_named(
    both: tuple[Place, Place], postgres: Database, change: str, sentence: str
) -> None:
    with AuditReader(both[1]) as reader:
        postgres.ask(change)
        found = [finding.sentence for finding in verify_run(reader, RUN, KEY)]
    assert any(sentence in message for message in found), found
