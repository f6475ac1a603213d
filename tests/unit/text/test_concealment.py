from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.concealment import NOTHING, WORD_LENGTH, Concealment, without_url_passwords
from elspeth.errors import Temporary

SECRET = 'pa ss/w"ör%d\\1'
HIDDEN = Concealment({SECRET: "${DB_PASSWORD}"})


@pytest.mark.parametrize(
    "text",
    [
        f"login failed for {SECRET}!",
        json.dumps({"password": SECRET}),
        json.dumps({"password": SECRET}, ensure_ascii=False),
        repr({"password": SECRET}),
        ascii(SECRET),
        f"postgres://me:{quote(SECRET, safe='')}@db/x",
        f"https://db/x?password={quote_plus(SECRET)}&y=1",
        f"postgres://me:{quote(SECRET)}@db/x",
        *("Basic " + base64.b64encode(f"{user}:{SECRET}".encode()).decode() for user in ("a", "ab", "abc")),
        "Basic " + base64.urlsafe_b64encode(f"me:{SECRET}".encode()).decode(),
    ],
)
def test_a_secret_is_found_in_whatever_form_it_is_printed(text: str) -> None:
    hidden = HIDDEN.text(text)
    assert "${DB_PASSWORD}" in hidden
    for part in ("pa ss", "pa+ss", "pa%20ss", 'w"', "%25d", base64.b64encode(b"a:pa ss/w").decode()[4:]):
        assert part not in hidden


def test_a_secret_that_begins_another_leaves_nothing_of_the_other_behind() -> None:
    hidden = Concealment({"open-sesame": "${A}", "open-sesame-and-shut": "${B}"})
    assert hidden.text("open-sesame-and-shut, open-sesame") == "${B}, ${A}"


def test_what_stands_for_a_secret_is_not_searched_again() -> None:
    assert Concealment({"TOKEN_VALUE": "${SECRET1}", "SECRET1": "${OTHER}"}).text("TOKEN_VALUE") == "${SECRET1}"


def test_a_short_secret_is_replaced_where_it_stands_alone() -> None:
    hidden = Concealment({"test": "${PW}", "ab": "${TINY}"})
    assert hidden.text("password test, not testing; ab") == "password ${PW}, not testing; ab"


def test_details_are_searched_in_keys_and_values_and_numbers() -> None:
    hidden = Concealment({"8412345": "${PIN}"})
    detail = {"a 8412345": [8412345, ("x8412345x", True)], "n": 1.5, "none": None}
    assert hidden.value(detail) == {"a ${PIN}": ["${PIN}", ["x${PIN}x", True]], "n": 1.5, "none": None}


def test_an_error_is_told_without_its_secret() -> None:
    error = HIDDEN.error(Temporary(f"no {SECRET}", details=[SECRET], next_step=f"try {SECRET}"))
    assert (error.message, error.details, error.next_step) == (
        "no ${DB_PASSWORD}", ("${DB_PASSWORD}",), "try ${DB_PASSWORD}",
    )  # fmt: skip
    assert SECRET not in str(error)


def test_without_secrets_nothing_is_changed_or_copied() -> None:
    value = {"a": [1, "b"]}
    assert NOTHING.value(value) is value
    assert NOTHING.text("abc") == "abc"


@given(st.text(min_size=WORD_LENGTH, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_of_usable_length_survives_between_blanks(secret: str, before: str, after: str) -> None:
    hidden = Concealment({secret: ""}).text(f"{before} {secret} {after}")
    if secret not in f"{before} {after}" and secret not in f"{before}  {after}":
        assert f" {secret} " not in hidden


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("postgresql://app:pass@db/audit", "postgresql://app@db/audit"),
        ("--database=postgresql://app:p%40s:s@db:5433/audit?schema=a", "--database=postgresql://app@db:5433/audit?schema=a"),
        ("landscape.url=postgres://app:pa/ss@db/audit", "landscape.url=postgres://app@db/audit"),
        ("postgresql://db/audit?user=app&password=pass&schema=a", "postgresql://db/audit?user=app&password=[redacted]&schema=a"),
        ("postgresql://db/audit?sslpassword=pass", "postgresql://db/audit?sslpassword=[redacted]"),
        ("sqlite:///./runs/audit.db", "sqlite:///./runs/audit.db"),
        ("who@example.com: a, b", "who@example.com: a, b"),
    ],
)  # fmt: skip
def test_a_password_in_a_url_is_taken_out_of_what_was_typed(typed: str, shown: str) -> None:
    assert without_url_passwords(typed) == shown
