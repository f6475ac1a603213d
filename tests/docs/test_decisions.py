"""Decision records are complete: numbered, dated, each with what there was, what was chosen, and what follows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.repository import ROOT, name_of, text_of

FOLDER = ROOT / "ops" / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
PARTS = ["Context", "Decision", "Alternatives", "Consequences"]


def test_no_two_records_have_one_number() -> None:
    numbers = [file.name[:4] for file in RECORDS]
    assert len(numbers) == len(set(numbers)) >= 10


@pytest.mark.parametrize("file", RECORDS, ids=name_of)
def test_a_record_has_its_number_a_date_and_all_parts(file: Path) -> None:
    text = text_of(file)
    assert text.startswith(f"# {int(file.name[:4])}. ")
    assert re.search(r"^Date: 20\d\d-\d\d-\d\d$", text, re.M)
    assert re.findall(r"^## (.+)$", text, re.M) == PARTS
    assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.M)[1:])


def test_every_record_is_in_the_index_by_its_title_and_date() -> None:
    listed = re.findall(r"^\| (\d+) \| \[(.+?)\]\((.+?)\) \| (.+?) \|$", text_of(FOLDER / "index.md"), re.M)
    assert listed == [
        (str(int(file.name[:4])), _found(r"^# \d+\. (.+)$", file), file.name, _found(r"^Date: (.+)$", file))
        for file in RECORDS
    ]


def _found(pattern: str, file: Path) -> str:
    match = re.search(pattern, text_of(file), re.M)
    assert match, f"{name_of(file)} has no {pattern}"
    return match[1]
