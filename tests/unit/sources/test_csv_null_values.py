"""Texts that stand for a missing value become None, and only as whole values."""

from __future__ import annotations

from pathlib import Path

from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource


def test_texts_named_as_missing_become_none_in_every_column(tmp_path: Path) -> None:
    path = tmp_path / "delays.csv"
    path.write_text("flight,delay,gate\n1,NA,NAB\n2,5,-\nNA\n3,,B1\n")
    options = CsvOptions.model_validate({"path": path, "null_values": ["NA", "-"]})
    first, second, ragged, last = (row for row, _ in CsvSource(options).read(None))
    assert first == {"flight": "1", "delay": None, "gate": "NAB"}
    assert second == {"flight": "2", "delay": "5", "gate": None}
    assert ragged.fields == {"flight": "NA", "delay": None, "gate": None}
    assert last == {"flight": "3", "delay": "", "gate": "B1"}
