"""Audit records of the tables that are views on small ones, with whatever values: for tests of both ways."""

from __future__ import annotations

from hypothesis import strategies as st

from elspeth.audit.chain.records import Record, Records
from elspeth.audit.mapping.codes import MODES, OUTCOMES, STATUSES
from elspeth.audit.mapping.tables import HELD_IN

RUN = "mf3k2a9x"

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
maybe = st.none() | texts
digests = st.sampled_from(["ab" * 32, "0" * 64, "AB" * 32, "ab" * 31 + " a", "zz" * 32]) | texts
times = st.sampled_from(
    ["2026-11-26T01:02:03.004Z", "2026-11-26T01:02:03.005Z", "1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z",
     "2026-02-30T01:02:03.004Z", "2026-11-26T01:02:03Z", "2026-11-26T01:02:03.004+00:00", "1969-12-31T23:59:59.999Z",
     "0001-01-01T00:00:00.000Z", "2026-11-26 01:02:03.004Z"]
) | texts  # fmt: skip
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3)
durations = st.none() | st.floats(allow_nan=False) | st.integers(0, 10**7).map(lambda micro: micro / 1000)
words = st.sampled_from([*STATUSES, *MODES, *OUTCOMES]) | texts
names = st.sampled_from(["gate", "gate:true", "a:b", "ünder~score=1"]) | texts


@st.composite
def tables(draw: st.DrawFn) -> Records:
    """Records of all five tables as roles make them, with whatever values."""
    records: Records = {table: [] for table in HELD_IN}
    for index in range(draw(st.integers(0, 3))):
        row = f"{RUN}-{index:09d}"
        digest = draw(st.none() | digests)
        if draw(st.integers(0, 5)):
            at = draw(st.just(index) | numbers)
            records["rows"].append(
                (row, at, draw(names), digest, draw(maybe), draw(maybe), draw(st.none() | numbers), draw(times))
            )
        batch = f"{row}@{draw(names.filter(bool))}"
        for token in draw(st.sets(st.sampled_from([row, f"{row}.left", f"{row}/0003", f"{row}+m.2", f"{batch}/1"]))):
            if draw(st.booleans()):
                created = records["rows"][-1][-1] if records["rows"] and token == row else draw(times)
                records["tokens"].append((token, draw(st.just(token[:18]) | texts), draw(maybe), created))
            else:
                records["tokens"].append((token, token[:18], draw(maybe), draw(times)))
            for step in range(draw(st.integers(0, 2))):
                records["node_states"].append(state(draw, token, step, digest))
                records["routing_events"] += ways(draw, records["node_states"][-1][0])
            for ending in draw(st.sets(st.sampled_from(["=", "~0", "~12"]))):
                records["token_outcomes"].append((
                    f"{token}{ending}", token, draw(words), draw(st.integers(0, 2)), draw(maybe),
                    draw(st.none() | numbers), draw(maybe), draw(maybe), draw(times),
                ))  # fmt: skip
    return records


def state(draw: st.DrawFn, token: str, step: int, digest: str | None) -> Record:
    attempt = draw(st.integers(1, 12))
    state_id = f"{token}:{step}" if attempt == 1 else f"{token}:{step}.{attempt}"
    given_hash = draw(st.just(digest) | st.none() | digests)
    return (
        state_id, token, draw(names), draw(st.just(step) | numbers), draw(st.just(attempt) | numbers), draw(words),
        given_hash, draw(st.just(given_hash) | st.none() | digests), draw(maybe), draw(maybe), draw(maybe),
        draw(st.none() | times), draw(st.none() | times), draw(durations),
    )  # fmt: skip


def ways(draw: st.DrawFn, state_id: str) -> list[Record]:
    return [
        (f"{state_id}/{ordinal}" if ordinal else state_id, state_id, draw(names), draw(words), draw(maybe), draw(times))
        for ordinal in range(draw(st.integers(0, 2)))
    ]
