"""The row that stands for a reason is named where the token is the row's own, and nowhere else."""

from __future__ import annotations

import pytest

from elspeth.audit.query.verdict import Reason


@pytest.mark.parametrize(
    ("token", "row"),
    [
        ("2s3bxdbv-000000042", 42),
        ("2s3bxdbv-000000000", 0),
        ("2s3bxdbv-000000042>left", None),
        ("2s3bxdbv-000000042/3", None),
        ("2s3bxdbv-000000042@totals/1", None),
        ("2s3bxdbv", None),
    ],
)
def test_a_reason_names_the_row_of_its_token(token: str, row: int | None) -> None:
    assert Reason("label", "too long", 3, token).row == row
