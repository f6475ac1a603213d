"""What can be asked of a recorded run: stories of rows and tokens, searches, lists, kinds of errors, glances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.explain import lineage, listing, node_visits, payload_reader, search
from elspeth.audit.explain.session import explain_session
from elspeth.audit.query import error_kinds, glance
from elspeth.audit.query.reader import AuditReader
from elspeth.errors import ElspethError, RunNotFound, SettingsError, Temporary
from tests.kit.fixtures.sample_run import NOW, RUN, write_run

ROW = f"{RUN}-000000000"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stories") / "audit.db"
    write_run(path)
    return path


def test_the_story_of_a_row_is_all_that_is_on_record_of_it(place: Path) -> None:
    with explain_session(place, RUN) as session:
        story = session.lineage.row(0)
    assert (story["run_id"], story["row"], story["row_id"], story["token"], story["complete"]) == (
        RUN, 0, ROW, None, True,
    )  # fmt: skip
    read = story["read"]
    assert (read["source"], read["file"], read["line"], read["values"], read["kept"], read["commit"]) == (
        "source", None, 2, {"id": 0, "amount": 0}, "inline", 1,
    )  # fmt: skip
    assert story["refused"] == {"source": "source", "error": "bad", "raw": "raw", "line": 2, "destination": "high"}
    assert (story["deaths"], story["purged"], story["driven_by"]) == ([], None, [{"attempt": 1}])
    life = story["tokens"]
    assert (life["token"], life["how"], life["parents"], life["batches"]) == (ROW, "read", [], [])
    [visit] = life["passages"]
    assert (visit["node"], visit["kind"], visit["try"], visit["status"], visit["changed"], visit["changes"]) == (
        "gate", "gate", 1, "completed", False, [],
    )  # fmt: skip
    assert (visit["duration_ms"], visit["deterministic"], visit["refused_to"]) == (0.25, True, "high")
    assert visit["routes"] == [{"edge": "gate:true", "label": "true", "to": "high", "mode": "move"}]
    [call] = visit["calls"]
    assert (call["call"], call["type"], call["status"], call["request"], call["latency_ms"]) == (
        0, "http", "ok", {"a": 1}, 1.5,
    )  # fmt: skip
    end = life["end"]
    assert (end["outcome"], end["sink"], end["file"], end["sink_row"]) == ("routed", "high", "high.csv", 1)
    [branch] = life["becomes"]
    assert (branch["token"], branch["how"], branch["parents"]) == (f"{ROW}.right", "fork", [ROW])
    [batch] = branch["batches"]
    assert (batch["batch"], batch["place"], batch["size"], batch["size_is_more"]) == (f"{ROW}@stats", 1, 1, False)
    assert (batch["gave"], batch["gave_more"]) == ([], 0)
    assert branch["end"]["outcome"] == "consumed_in_batch"


def test_another_row_has_nothing_of_the_first(place: Path) -> None:
    with explain_session(place, "latest") as session:
        story = session.lineage.row(29)
    assert (story["refused"], story["tokens"]["becomes"], story["read"]["line"], story["read"]["commit"]) == (
        None, [], 31, 3,
    )  # fmt: skip
    [visit] = story["tokens"]["passages"]
    assert visit["calls"] == []
    assert "refused_to" not in visit
    assert story["tokens"]["end"]["sink_row"] == 30


def test_the_story_of_a_token_begins_with_its_row(place: Path) -> None:
    with explain_session(place, RUN[:5]) as session:
        story = session.lineage.token(f"{ROW}.right")
        assert story["token"] == f"{ROW}.right"
        assert [child["token"] for child in story["tokens"]["becomes"]] == [f"{ROW}.right"]
        with pytest.raises(ElspethError):
            session.lineage.token(f"{ROW}.left")


def test_a_row_that_is_not_there_is_told_with_those_that_are(place: Path) -> None:
    with explain_session(place, RUN) as session, pytest.raises(ElspethError) as caught:
        session.lineage.row(30)
    assert caught.value.message == f"there is no row 30 in run {RUN}"
    assert list(caught.value.details) == ["it has rows 0 to 29"]
    assert caught.value.next_step.startswith(f"elspeth explain --run {RUN} --where FIELD=VALUE")


def test_a_run_that_is_not_there_is_told(place: Path) -> None:
    with pytest.raises(RunNotFound), explain_session(place, "nobody"):
        pass


def test_a_look_that_is_given_up_says_so(place: Path) -> None:
    with pytest.raises(Temporary), explain_session(place, RUN, lambda: True) as session:
        session.lineage._connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT sum(i) FROM n"
        ).fetchall()


@pytest.mark.parametrize(
    ("words", "found"),
    [(("amount=20",), [(2, 4)]), (("amount=5",), []), (("id=2", "amount=20"), [(2, 4)]), (("id=1", "amount=20"), []),
     (("nothing=20",), []), ((" id = 7 ",), [(7, 9)])],
)  # fmt: skip
def test_rows_are_found_by_what_they_hold(words: tuple[str, ...], found: list[Any], place: Path) -> None:
    with explain_session(place, RUN) as session:
        result = session.search(words)
    assert (result.found, result.scanned, result.unreadable, result.purged) == (found, 30, 0, 0)


def test_no_more_rows_are_found_than_can_be_shown(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_FOUND", 1)
    with explain_session(place, RUN) as session:
        assert session.search(("amount=20",)).found == [(2, 4)]


@pytest.mark.parametrize("word", ["id", "=3", " =3", ""])
def test_a_word_that_names_no_field_is_refused(word: str) -> None:
    with pytest.raises(SettingsError, match="says nothing about a field"):
        search.conditions((word,))
    assert search.conditions(("a=b=c", " d = e ")) == {"a": "b=c", "d": "e"}


@pytest.mark.parametrize(
    ("name", "text", "holds"),
    [("a", "1", True), ("a", "01", False), ("b.c", "x", True), ("b.d", "x", False), ("b", '{"c":"x"}', True),
     ("x.y", "3", True), ("z", "null", True), ("t", "true", True), ("b.c.e", "x", False)],
)  # fmt: skip
def test_a_field_inside_of_another_is_named_by_both(name: str, text: str, holds: bool) -> None:
    row = {"a": 1, "b": {"c": "x"}, "x.y": 3, "z": None, "t": True}
    assert search._equals(search._at(row, name), text) == holds


def test_rows_and_outcomes_are_listed_page_by_page(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in (7, 10, 30, 100):
        monkeypatch.setattr(listing, "PAGE", page)
        rows = list(listing.rows(place, RUN))
        assert [row.index for row in rows] == list(range(30))
        ends = list(listing.outcomes(place, RUN))
        assert len(ends) == 31
    assert (rows[3].row_id, rows[3].source, rows[3].line, rows[3].values, rows[3].kept, rows[3].read_at) == (
        f"{RUN}-000000003", "source", 5, {"id": 3, "amount": 30}, "inline", NOW,
    )  # fmt: skip
    assert [(end.token_id, end.row, end.outcome, end.sink, end.sink_row, end.error) for end in ends[:3]] == [
        (f"{ROW}.right", 0, "consumed_in_batch", None, None, None), (ROW, 0, "routed", "high", 1, {}),
        (f"{RUN}-000000001", 1, "routed", "high", 2, {}),
    ]  # fmt: skip


def test_kinds_of_errors_are_told_with_samples_and_without_what_people_wrote(place: Path) -> None:
    with AuditReader(place) as reader:
        found = error_kinds.errors(reader, RUN, data=True)
        assert [(kind["node"], kind["reason"], kind["count"]) for kind in found["kinds"]] == [
            ("source", "bad", 1), ("gate", "x", 1),
        ]  # fmt: skip
        assert (found["more_kinds"], found["read"], found["all"]) == (0, 2, True)
        [sample] = found["kinds"][0]["samples"]
        assert (sample["token"], sample["row"], sample["line"], sample["outcome"], sample["sink_row"]) == (
            ROW, 0, 2, "routed", 1,
        )  # fmt: skip
        assert sample["data"] == '{"id":0,"amount":0}'
        [hidden] = error_kinds.errors(reader, RUN, data=False)["kinds"][0]["samples"]
        assert '"amount"' not in str(hidden.get("data"))
        assert error_kinds.by_reason(reader, RUN) == {"source: bad": 1, "gate: x": 1}
        slow = error_kinds.slowest(reader, RUN, 2)
        assert [(each["node"], each["seconds"]) for each in slow] == [("gate", 0.00025)] * 2
        assert len(error_kinds.slowest(reader, RUN)) == 10


def test_the_latest_runs_at_a_glance(place: Path) -> None:
    [found] = glance.recent_runs(place, 5)
    assert (found.run_id, found.status) == (RUN, "completed")
    assert glance.recent_runs(place, 5, unfinished=True) == []
    assert glance.recent_runs(place, 0) == []


@pytest.mark.parametrize(
    ("token", "row", "how"),
    [
        ("r-000000001", "r-000000001", "read"), ("r-000000001.a", "r-000000001", "fork"),
        ("r-000000001+m", "r-000000001", "merge"), ("r-000000001/0001", "r-000000001", "expand"),
        ("r-000000001@b/0001", "r-000000001", "batch"), ("r-000000001.a@b/0001", "r-000000001", "batch"),
        ("r-000000001@b/0001/0002", "r-000000001", "expand"), ("r-000000001.a.b+m", "r-000000001", "merge"),
        ("r-000000001@b/0001.a", "r-000000001", "fork"),
    ],
)  # fmt: skip
def test_how_a_token_came_into_being_is_in_its_id(token: str, row: str, how: str) -> None:
    assert (lineage._row_of(token), lineage._how(token)) == (row, how)


@pytest.mark.parametrize(
    ("token", "parents", "above"),
    [("r.a", ["r"], "r"), ("r+m", ["r.a", "r.b"], "r"), ("r.a/0001", [], "r.a"), ("r/0001.x", [], "r/0001")],
)
def test_under_which_token_another_is_told(token: str, parents: list[str], above: str) -> None:
    assert lineage._above(token, parents) == above


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        ("row['b'] > 1 and row.get('a', 2) == c", ["b", "c", "a"]),
        ("len(name) > row['x']", ["name", "x"]),
        ("row", []),
        ("1 +", []),
        (" True ", []),
        ("row['a'] + row['a']", ["a"]),
    ],
)
def test_the_fields_that_a_condition_reads(condition: str, fields: list[str]) -> None:
    assert sorted(node_visits.fields_in(condition)) == sorted(fields)


@pytest.mark.parametrize(
    ("text", "value"), [(None, None), ("{", "{"), ("[1]", [1]), ("", ""), ('"x"', "x"), ("null", None)]
)  # fmt: skip
def test_json_is_data_and_what_is_none_stays_text(text: str | None, value: Any) -> None:
    assert node_visits.parsed(text) == value


def test_what_a_node_changed_is_told_field_by_field() -> None:
    before = {"a": 1, "b": {"c": 1, "d": 2}, "e": 1, "f": True, "g": [1]}
    after = {"a": 1, "b": {"c": 2, "x": 3}, "f": 1, "g": [1], "h": None}
    assert payload_reader.differences(before, after) == [
        {"field": "b.c", "change": "changed", "before": 1, "after": 2},
        {"field": "b.d", "change": "removed", "before": 2},
        {"field": "b.x", "change": "added", "after": 3}, {"field": "e", "change": "removed", "before": 1},
        {"field": "f", "change": "changed", "before": True, "after": 1},
        {"field": "h", "change": "added", "after": None},
    ]  # fmt: skip
    assert payload_reader.differences({"a": 1}, [1]) == [
        {"field": "", "change": "changed", "before": {"a": 1}, "after": [1]}
    ]
    assert payload_reader.differences({"a": {"b": 1}}, {"a": 2}) == [
        {"field": "a", "change": "changed", "before": {"b": 1}, "after": 2}
    ]
    assert payload_reader.differences([1], [1]) == []


@pytest.mark.parametrize(
    ("settings", "bases"),
    [
        ("{}", ("/w/state/payloads", "state/payloads")),
        ("no json", ("/w/state/payloads", "state/payloads")),
        ('{"payload_store": {"base_path": "p"}}', ("/w/p", "p")),
        ('{"payload_store": {"base_path": "/p"}}', ("/p",)),
        ("[]", ("/w/state/payloads", "state/payloads")),
    ],
)
def test_where_payloads_may_be(settings: str, bases: tuple[str, ...]) -> None:
    assert payload_reader.bases_of(settings, "/w") == tuple(map(Path, bases))
