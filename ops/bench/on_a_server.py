"""What an audit database on a server costs against one in a file: the same pipeline, PostgreSQL on the same machine."""

from __future__ import annotations

from ops.bench.comparing import Figure, Size, alternating
from ops.bench.trial import Workspace, run, threshold

LIKE_ANY_OTHER = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "max_wal_size": "1GB"}
"""The server's own defaults, where tests take others. With them what is committed is on the disk, as in a file."""


def server(space: Workspace, size: Size) -> list[Figure]:
    """The threshold pipeline with its audit database in PostgreSQL, reached by a unix socket, and in SQLite."""
    # With psycopg, which is an extra: other measurements do without.
    from tests.kit.postgres.databases import fresh_database
    from tests.kit.postgres.server import Server

    settings = threshold(space.input(size.rows), "every_n")

    def in_a_file() -> float:
        with space.trial("file") as folder:
            return run(folder, settings)

    with Server(**LIKE_ANY_OTHER) as cluster:

        def on_a_server() -> float:
            with space.trial("server") as folder, fresh_database(cluster) as made:
                url = f"{cluster.socket_url(made.name)}&schema={made.schema}"
                return run(folder, {**settings, "landscape": {"url": url}})

        took = alternating(size.rounds, {"SQLite": in_a_file, "PostgreSQL": on_a_server})
    return [Figure("throughput on PostgreSQL against SQLite", took["SQLite"] / took["PostgreSQL"], 0.7, unit="x")]
