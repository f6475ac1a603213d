"""Steps that compare, measure and convert know decimals, dates and times by the types of fields."""

from __future__ import annotations

import random
import statistics
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.errors import SettingsError
from elspeth.plugins.aggregations.batch_stats import BatchStats
from elspeth.plugins.aggregations.limit import Limit
from elspeth.plugins.aggregations.sort import Sort
from elspeth.plugins.aggregations.statistics.distribution_profile import BatchDistributionProfile
from elspeth.plugins.aggregations.statistics.outlier_annotator import BatchOutlierAnnotator
from elspeth.plugins.contract import Context, Made, RowError
from elspeth.plugins.options import OptionProblems, check
from elspeth.plugins.transforms.deduplicate import Deduplicate
from elspeth.plugins.transforms.lookup import Lookup
from elspeth.plugins.transforms.type_coerce import TypeCoerce
from elspeth.schema.typed_text import to_text

TYPES = {"p": "decimal", "d": "date", "t": "datetime", "g": "decimal"}
CONTEXT = Context("r", "step", types=TYPES)


def built(cls: Any, context: Context = CONTEXT, **options: Any) -> Any:
    plugin = cls(check(cls, options, "step"))
    plugin.setup(context)
    return plugin


def rows_of(results: list[Any]) -> list[dict[str, Any]]:
    return [result.row if isinstance(result, Made) else result for result in results]


# -- batch_stats ----------------------------------------------------------------------------------------------

DECIMALS = st.lists(st.decimals(-(10**6), 10**6, places=3) | st.integers(-5, 5).map(Decimal), min_size=1, max_size=6)


@given(DECIMALS)
def test_measures_of_decimals_are_exact(values: list[Decimal]) -> None:
    measures = ["count", "sum", "mean", "min", "max", "median", "stdev", "distinct", "first", "last"]
    rows = [{"p": to_text(value)} for value in values]
    stats = built(BatchStats, value_field="p", fields={"p": measures})
    (found,) = rows_of(stats.process(rows, CONTEXT))
    fractions = [Fraction(value) for value in values]
    assert (found["count"], found["p_count"]) == (len(values), len(values))
    assert Fraction(found["sum"]) == Fraction(found["p_sum"]) == sum(fractions)
    assert abs(Fraction(found["mean"]) - sum(fractions) / len(values)) <= Fraction(1, 10**24)
    assert found["mean"] == found["p_mean"]
    assert Fraction(found["p_median"]) == statistics.median(fractions)
    assert (Fraction(found["p_min"]), Fraction(found["p_max"])) == (min(fractions), max(fractions))
    assert found["p_distinct"] == len(set(fractions))
    assert (found["p_first"], found["p_last"]) == (rows[0]["p"], rows[-1]["p"])
    assert found["p_stdev"] == (float(statistics.stdev(fractions)) if len(values) > 1 else None)


def test_a_sum_of_money_has_the_places_of_its_amounts() -> None:
    rows = [{"p": "0.10", "k": "a"}, {"p": "0.20", "k": "a"}, {"p": None, "k": "a"}, {"p": "7", "k": "b"}]
    found = rows_of(built(BatchStats, value_field="p", group_by="k").process(rows, CONTEXT))
    assert found == [
        {"count": 2, "sum": "0.30", "batch_size": 3, "mean": "0.15", "skipped_missing": 1,
         "skipped_missing_indices": [2], "k": "a"},
        {"count": 1, "sum": "7", "batch_size": 1, "mean": "7", "k": "b"},
    ]  # fmt: skip


def test_dates_and_times_have_a_first_and_a_last_by_value() -> None:
    rows = [{"d": "2024-03-01", "t": "2024-03-01T09:30:00+01:00"}, {"d": None, "t": "2024-03-01T08:45:00Z"},
            {"d": "2024-02-29", "t": "2024-03-01T08:30:00Z"}]  # fmt: skip
    stats = built(BatchStats, fields={"d": ["min", "max", "count"], "t": ["min", "max", "distinct"]})
    (found,) = rows_of(stats.process(rows, CONTEXT))
    assert (found["d_min"], found["d_max"], found["d_count"]) == ("2024-02-29", "2024-03-01", 2)
    assert (found["t_min"], found["t_max"]) == ("2024-03-01T09:30:00+01:00", "2024-03-01T08:45:00Z")
    assert found["t_distinct"] == 2


def test_groups_are_equal_by_value_and_named_as_the_first_of_them() -> None:
    rows = [{"g": "1.50", "p": "1"}, {"g": "1.5", "p": "2"}, {"g": None, "p": "3"}, {"g": 2, "p": "4"}]
    found = rows_of(built(BatchStats, group_by=["g"]).process(rows, CONTEXT))
    assert [(row["g"], row["count"]) for row in found] == [("1.50", 2), (None, 1), (2, 1)]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([{"p": "x"}], {"value_field": "p"}, "field 'p' is a decimal, and holds 'x' (text): it is no decimal number"),
        ([{"p": 0.5}], {"value_field": "p"}, "holds 0.5 (a float), which is not exact"),
        ([{"p": None}], {"value_field": "p"}, "field 'p' holds no number"),
        ([{"d": "2024-03-01"}], {"fields": {"d": ["sum"]}}, "field 'd' is a date, of which there is no sum"),
        ([{"t": "2024-03-01T09:30:00"}, {"t": "2024-03-01T09:30:00Z"}], {"fields": {"t": ["min"]}},
         "the min of 't': min does not compare a time that has an offset"),
    ],
)  # fmt: skip
def test_a_batch_with_a_value_that_has_no_measure_is_refused(rows: Any, options: Any, words: str) -> None:
    with pytest.raises(RowError) as caught:
        built(BatchStats, **options).process(rows, CONTEXT)
    assert words in caught.value.details.get("cause", caught.value.reason)


def test_measures_that_dates_do_not_have_are_known_before_the_run() -> None:
    stats = built(BatchStats, fields={"d": ["min", "mean"], "p": ["mean"]}, group_by="g")
    assert stats.check_types(TYPES) == [
        (
            ("fields", "d", 1),
            "'d' is a date, of which there is no mean; there are count, min, max, distinct, first, last",
        )
    ]
    assert built(BatchStats, value_field="t").check_types(TYPES)[0][0] == ("value_field",)
    assert stats.types_out(TYPES) == {"g": "decimal", "d_min": "date", "d_mean": "date", "p_mean": "decimal"}


# -- sort, limit, deduplicate, lookup -------------------------------------------------------------------------


@given(st.lists(st.decimals(-1000, 1000, places=2), max_size=8))
def test_decimals_are_sorted_as_numbers(values: list[Decimal]) -> None:
    rows = [{"p": to_text(value)} for value in values]
    random.Random(1).shuffle(rows)
    found = rows_of(built(Sort, by=["p"]).process(rows, CONTEXT))
    assert [Decimal(row["p"]) for row in found] == sorted(values)


def test_times_are_sorted_as_moments_and_not_mixed() -> None:
    early, late = {"t": "2024-03-01T09:30:00+02:00"}, {"t": "2024-03-01T08:00:00Z"}
    assert rows_of(built(Sort, by=["t"]).process([late, early], CONTEXT)) == [early, late]
    with pytest.raises(RowError, match=r"is a time without an offset in row 1 .* and a time with an offset in row 0"):
        built(Sort, by=["t"]).process([late, {"t": "2024-03-01T08:00:00"}], CONTEXT)


def test_limit_counts_groups_by_value() -> None:
    rows = [{"g": "1.5"}, {"g": "1.50"}, {"g": "2"}]
    assert rows_of(built(Limit, count=1, group_by=["g"]).process(rows, CONTEXT)) == [{"g": "1.5"}, {"g": "2"}]


def test_keys_of_deduplicate_are_equal_by_value() -> None:
    step = built(Deduplicate, keys=["p", "t"])
    one = step.key({"p": "1.50", "t": "2024-03-01T09:30:00+01:00"})
    assert one == step.key({"p": "1.5", "t": "2024-03-01T08:30:00Z"})
    assert one != step.key({"p": "1.51", "t": "2024-03-01T08:30:00Z"})
    assert step.key({"p": None, "t": "2024-03-01T08:30:00Z"}) is None
    with pytest.raises(RowError, match="field 'p' is a decimal, and holds 'x'"):
        step.key({"p": "x", "t": "2024-03-01T08:30:00Z"})


def test_without_types_keys_are_what_they_were() -> None:
    step = built(Deduplicate, Context("r", "step"), keys=["p"])
    assert step.key({"p": "1.50"}) != step.key({"p": "1.5"})
    assert step.key({"p": "1.50"}) == b'["1.50"]'


def test_keys_of_lookup_are_equal_by_value(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("rate,day,name\n19.0,2024-03-01,full\n7,2024-03-01,reduced\n")
    step = built(Lookup, path=path, keys={"p": "rate", "d": "day"}, fields={"name": "name"}, on_missing="empty")
    assert step.process({"p": "19.00", "d": "2024-03-01"}, CONTEXT)["name"] == "full"
    assert step.process({"p": "7.0", "d": "2024-03-01"}, CONTEXT)["name"] == "reduced"
    assert step.process({"p": "8", "d": "2024-03-01"}, CONTEXT)["name"] is None
    with pytest.raises(RowError, match="field 'p' is a decimal, and holds 'x'"):
        step.process({"p": "x", "d": "2024-03-01"}, CONTEXT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate,name\n19,a\n19.0,b\n", "line 3, has a key that stands there before: rate '19'"),
        ("rate,name\nx,a\n", "line 2, has 'x' as key in 'rate', which is no decimal: it is no decimal number"),
    ],
)
def test_a_reference_file_whose_keys_are_no_such_values_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        built(Lookup, path=path, keys={"p": "rate"}, fields={"name": "name"})
    assert words in caught.value.message
    before = Lookup(check(Lookup, {"path": path, "keys": {"p": "rate"}, "fields": {"name": "name"}}, "step"))
    assert before.check_types(TYPES) == ()
    with pytest.raises(SettingsError) as caught:
        before.check_references()
    assert words in caught.value.message


# -- type_coerce ----------------------------------------------------------------------------------------------


def coerced(value: Any, to: str, **more: Any) -> Any:
    step = built(TypeCoerce, conversions=[{"field": "f", "to": to, **more}])
    return step.process({"f": value}, CONTEXT)["f"]


@pytest.mark.parametrize(
    ("value", "to", "more", "expected"),
    [
        (" 12.50 ", "decimal", {}, "12.50"),
        ("1e3", "decimal", {}, "1000"),
        (7, "decimal", {}, "7"),
        ("2024-03-01", "date", {}, "2024-03-01"),
        ("2024-03-01 09:30", "datetime", {}, "2024-03-01T09:30:00"),
        ("1.3.2024", "date", {"spelling": {"format": "%d.%m.%Y"}}, "2024-03-01"),
        ("2024-07-01T09:30", "datetime", {"spelling": {"timezone": "Europe/Berlin"}}, "2024-07-01T09:30:00+02:00"),
        (None, "decimal", {}, None),
    ],
)
def test_values_become_decimals_dates_and_times(value: Any, to: str, more: Any, expected: Any) -> None:
    assert coerced(value, to, **more) == expected


@pytest.mark.parametrize(
    ("value", "to", "more", "words"),
    [
        (0.1, "decimal", {}, "field 'f' cannot become decimal: 0.1 (a float), which is not exact"),
        (True, "decimal", {}, "True (a bool)"),
        ("x", "decimal", {}, "'x' (text): it is no decimal number"),
        ("2024-02-30", "date", {}, "'2024-02-30' (text): there is no such day"),
        (20240301, "date", {}, "20240301 (a whole number)"),
        ("31.2.2024", "date", {"spelling": {"format": "%d.%m.%Y"}}, "'31.2.2024' (text): there is no such day"),
    ],
)
def test_what_becomes_none_refuses_the_row(value: Any, to: str, more: Any, words: str) -> None:
    with pytest.raises(RowError) as caught:
        coerced(value, to, **more)
    assert words in caught.value.details.get("cause", caught.value.reason)


@pytest.mark.parametrize(
    ("to", "spelling", "words"),
    [
        ("decimal", {"format": "%d"}, "spelling says how a date or time is spelled, and 'f' becomes decimal"),
        ("date", {"format": "%d.%m.%y"}, "has years of two digits"),
        ("datetime", {"timezone": "Nowhere"}, "is no IANA time zone"),
    ],
)
def test_a_spelling_that_cannot_be_meant_is_refused(to: str, spelling: Any, words: str) -> None:
    with pytest.raises(OptionProblems) as caught:
        built(TypeCoerce, conversions=[{"field": "f", "to": to, "spelling": spelling}])
    assert words in str(caught.value.problems[0])


# -- statistics -----------------------------------------------------------------------------------------------


def test_statistics_take_decimals_as_floats_and_leave_rows_as_they_were() -> None:
    rows = [{"p": text, "k": "a"} for text in ("1.10", "2.20", "3.30")]
    (profile,) = rows_of(built(BatchDistributionProfile, value_field="p").process(rows, CONTEXT))
    assert profile["mean"] == pytest.approx(2.2)
    marked = rows_of(built(BatchOutlierAnnotator, value_field="p").process(rows, CONTEXT))
    assert [row["p"] for row in marked] == ["1.10", "2.20", "3.30"]
    with pytest.raises(RowError, match="field 'p' is a decimal, and holds 'x'"):
        built(BatchDistributionProfile, value_field="p").process([{"p": "x"}], CONTEXT)
