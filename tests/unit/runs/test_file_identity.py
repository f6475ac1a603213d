"""Files are told apart by what they are, also right before they are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elspeth.errors import SettingsError
from elspeth.file_identity import identity, require_apart


def test_links_are_the_file_they_lead_to(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.link(file, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(file)
    assert identity(file) == identity(tmp_path / "hard") == identity(tmp_path / "soft")
    assert identity(file) != identity(tmp_path)


def test_what_is_not_there_yet_is_known_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert identity(tmp_path / "link" / "new") == identity(tmp_path / "folder" / "new")


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_that_was_laid_since_is_found_before_an_output_is_opened(link, tmp_path: Path) -> None:
    database, output = tmp_path / "audit.db", tmp_path / "out.csv"
    database.write_text("x")
    output.touch()
    taken = {str(database): "the audit database", str(tmp_path / "audit.db-wal"): "its log"}
    require_apart([output], taken)
    output.unlink()
    link(database, output)
    with pytest.raises(SettingsError, match="is the audit database"):
        require_apart([output], taken)
