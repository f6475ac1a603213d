"""What is asked about a run, a row, a token or a state is found by keys, however many runs there are."""

from __future__ import annotations

import re

import psycopg
import pytest

from elspeth.audit.store.place import place_of
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.postgres.databases import Database

ROW = f"{RUN}-000000005"
RECORDS = re.compile(r"Seq Scan on (token_records|state_records|outcome_records)")

QUESTIONS = [
    f"SELECT * FROM rows WHERE run_id = '{RUN}'",
    f"SELECT * FROM rows WHERE row_id = '{ROW}'",
    f"SELECT * FROM rows WHERE run_id = '{RUN}' AND row_index = 5",
    f"SELECT * FROM tokens WHERE run_id = '{RUN}'",
    f"SELECT * FROM tokens WHERE token_id = '{ROW}'",
    f"SELECT * FROM node_states WHERE run_id = '{RUN}'",
    f"SELECT * FROM node_states WHERE state_id = '{ROW}:1'",
    f"SELECT * FROM node_states WHERE token_id = '{ROW}'",
    f"SELECT * FROM node_states WHERE run_id = '{RUN}' AND row_index = 5",
    f"SELECT * FROM routing_events WHERE state_id = '{ROW}:1'",
    f"SELECT * FROM routing_events WHERE run_id = '{RUN}'",
    f"SELECT * FROM token_outcomes WHERE token_id = '{ROW}'",
    f"SELECT * FROM token_outcomes WHERE run_id = '{RUN}'",
    f"SELECT * FROM node_states AS s JOIN token_outcomes AS o ON o.token_id = s.token_id WHERE s.run_id = '{RUN}'",
    f"SELECT * FROM run_summary WHERE run_id = '{RUN}'",
    f"SELECT * FROM row_story WHERE row_id = '{ROW}'",
    f"SELECT * FROM row_story WHERE run_id = '{RUN}' AND row_index = 5",
]


@pytest.fixture
def filled(postgres: Database) -> Database:
    writer = AuditWriter(place_of(postgres.url))
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 200))
    writer.close()
    postgres.ask("ANALYZE")
    return postgres


def test_every_such_question_is_answered_by_keys(filled: Database) -> None:
    scanned = {}
    with psycopg.connect(filled.admin_url, options=f"-c search_path={filled.schema}") as connection:
        connection.execute("SET enable_seqscan = off")  # of a few rows there is nothing faster
        for question in QUESTIONS:
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {question}".encode()))
            if found := RECORDS.findall(plan) + re.findall(
                r"Index .*Scan using \S*_records_pkey.*\n(?! *Index Cond)", plan
            ):
                scanned[question] = found
    assert scanned == {}
