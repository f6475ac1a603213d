"""The guide to a trail in PostgreSQL is true: statements, addresses and commands are typed, in order, on a server."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs import scenes
from tests.docs.command import SCRIPTS
from tests.docs.markdown import Block, blocks
from tests.docs.repository import ROOT, text_of
from tests.kit.postgres.server import Server, binaries

PAGE = ROOT / "ops" / "docs" / "guides" / "keep-the-trail-in-postgresql.md"
BLOCKS = list(blocks(text_of(PAGE)))
OWNER, READER = "owner-password", "reader-password"


@dataclass
class Reader:
    """Somebody who types what the page shows, on a machine that knows `db.example` by another name."""

    folder: Path
    server: Server
    tried: list[Block] = field(default_factory=list)

    def there(self, text: str) -> str:
        """The same with our server in the place of the page's."""
        text = text.replace("@db.example/", f"@127.0.0.1:{self.server.port}/")
        return text.replace("host=/var/run/postgresql", f"host={self.server.folder}&port={self.server.port}")

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ELSPETH_", "PG", "PYTEST_"))}
        path = f"{SCRIPTS}{os.pathsep}{binaries()}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "TERM": "dumb", "COLUMNS": "100"}

    def types(self, text: str, **environment: str) -> str:
        done = subprocess.run(
            ["bash", "-c", f"set -e\n{self.there(text)}"], cwd=self.folder, env=self.environment() | environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        assert OWNER not in done.stdout
        assert READER not in done.stdout
        return done.stdout

    def block(self, language: str, words: str) -> str:
        (found,) = [block for block in BLOCKS if block.language == language and words in block.text]
        self.tried.append(found)
        return found.text

    def passwords(self) -> Path:
        path = self.folder / "pgpass"
        path.write_text(f"*:*:*:elspeth:{OWNER}\n*:*:*:elspeth_reader:{READER}\n")
        path.chmod(0o600)
        return path


@pytest.fixture
def reader(postgres_server: Server, tmp_path: Path) -> Iterator[Reader]:
    who = Reader(tmp_path / "run", postgres_server)
    who.folder.mkdir()
    scenes.threshold(who.folder)
    superuser = f'psql "{postgres_server.socket_url()}" -v ON_ERROR_STOP=1 -q'
    try:
        (who.folder / "make.sql").write_text(who.block("sql", "CREATE ROLE"))
        who.types(f"{superuser} -f make.sql")
        yield who
    finally:
        for statement in ("DROP DATABASE IF EXISTS audit WITH (FORCE)", "DROP DATABASE IF EXISTS restored WITH (FORCE)",
                          "DROP ROLE IF EXISTS elspeth", "DROP ROLE IF EXISTS elspeth_reader"):  # fmt: skip
            with suppress(AssertionError):
                who.types(f'{superuser} -c "{statement}"')


def test_what_the_page_shows_works(reader: Reader) -> None:
    pipeline = reader.folder / "pipeline.yaml"
    plain = pipeline.read_text()
    pipeline.write_text(plain + reader.there(reader.block("yaml", "landscape:")))
    given = {"AUDIT_PASSWORD": OWNER}
    reader.types("elspeth run --settings pipeline.yaml --execute", **given)
    assert not (reader.folder / "runs" / "audit.db").exists()

    # Every address of the table finds the run that is there.
    pipeline.write_text(plain)
    service = reader.folder / "pg_service.conf"
    service.write_text(
        f"[audit]\nhost=127.0.0.1\nport={reader.server.port}\ndbname=audit\nuser=elspeth\npassword={OWNER}\n"
    )
    addresses = re.findall(r"^\| .* \| `(postgresql:[^`]+)` \|$", text_of(PAGE), re.M)
    assert len(addresses) == 3
    by_file = {"PGPASSFILE": str(reader.passwords())}
    for address, more in ((addresses[0], by_file), (addresses[0], {"PGPASSWORD": OWNER}),
                          (addresses[1], {"PGSERVICEFILE": str(service)}),
                          (addresses[2], {"PGUSER": "elspeth"})):  # fmt: skip
        found = reader.types(f'elspeth status latest --database "{address}"', **more)
        assert "completed" in found
        assert "completed" in reader.types(
            "elspeth status latest", ELSPETH_LANDSCAPE__URL=reader.there(address), **more
        )

    # Questions, as the role that reads.
    ask = reader.block("psql", "export AUDIT")
    assert "completed|10" in reader.types(ask, **by_file)
    audit = {"AUDIT": reader.there("postgresql://elspeth_reader@db.example/audit"), **by_file}
    assert "state_records" in reader.types(reader.block("psql", "pg_total_relation_size"), **audit)
    reading = reader.there("postgresql://elspeth_reader@db.example/audit?schema=elspeth")
    for words in ("status latest", "explain --run latest --row 3", "report latest -o run.html", "verify latest",
                  "export latest -o evidence", "replay latest"):  # fmt: skip
        reader.types(f'elspeth {words} --database "{reading}"', **by_file)
    with pytest.raises(AssertionError, match="permission denied"):
        reader.types(f'elspeth purge --run latest --database "{reading}"', **by_file)

    # A run that died goes on.
    owner = reader.there("postgresql://elspeth@db.example/audit?schema=elspeth")
    writing = {"ELSPETH_LANDSCAPE__URL": owner, **by_file}
    with pytest.raises(AssertionError):
        reader.types(f"{scenes.DEAD} --force-new", **writing)
    assert "completed" in reader.types(reader.block("sh", "elspeth resume latest"), **writing)
    assert reader.types('psql "$AUDIT" -At -c "SELECT status FROM runs"', **audit).split() == ["completed"] * 2

    # Out to a file, and back.
    copies = reader.block("sh", "elspeth copy").splitlines()
    reader.types(copies[1], OWNER=owner, **by_file)
    reader.types("elspeth verify latest --database archive.db")
    again = reader.types(f"{copies[0]} --database archive.db", OWNER=owner, **by_file)
    assert "already" in again

    # A backup that is good, in a database of its own.
    dumped = reader.there("postgresql://elspeth@db.example/audit")
    reader.types(reader.block("sh", "pg_dump"), AUDIT=dumped, **by_file)
    superuser = f'psql "{reader.server.socket_url()}" -v ON_ERROR_STOP=1 -q'
    reader.types(f'{superuser} -c "CREATE DATABASE restored OWNER elspeth TEMPLATE template0"')
    restored = reader.there("postgresql://elspeth@db.example/audit").replace("/audit", "/restored")
    assert "Holds" in reader.types(reader.block("sh", "pg_restore"), RESTORED=restored, **by_file)
    assert {block.line for block in BLOCKS} == {block.line for block in reader.tried}
