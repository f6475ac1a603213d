"""The comparison without audit: read, decide, write, as a good script would. `plain.py INPUT OUTPUT_FOLDER`"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def main(source: Path, folder: Path) -> None:
    """Route each row by its amount, as the threshold pipeline does."""
    condition = eval("lambda row: row['amount'] > 1000")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        source.open(newline="", encoding="utf-8") as file,
        (folder / "normal.csv").open("w", newline="", encoding="utf-8") as normal,
        (folder / "high_values.csv").open("w", newline="", encoding="utf-8") as high,
    ):
        rows = csv.reader(file)
        header = next(rows)
        writers = (csv.writer(normal, lineterminator="\r\n"), csv.writer(high, lineterminator="\r\n"))
        started = [False, False]
        for values in rows:
            row = dict(zip(header, values, strict=True))
            row["id"] = int(row["id"])  # type: ignore[assignment]
            row["amount"] = int(row["amount"])  # type: ignore[assignment]
            at = 1 if condition(row) else 0
            if not started[at]:
                writers[at].writerow(row)
                started[at] = True
            writers[at].writerow(row.values())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
