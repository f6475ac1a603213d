"""One look into the database for as long as a lineage takes: opened, checked, and in one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from elspeth.audit.connection import Connection
from elspeth.audit.dialect import watch
from elspeth.audit.explain.lineage import Lineage
from elspeth.audit.store import database, schema
from elspeth.audit.store.place import Place

if TYPE_CHECKING:
    from elspeth.audit.explain.search import Search


class ExplainSession:
    """Stories of one run, all of them of the same moment, also while the run is under way."""

    def __init__(self, connection: Connection, run_id: str) -> None:
        self._connection = connection
        self.run_id = run_id
        connection.execute("BEGIN")
        self.lineage = Lineage(connection, run_id)

    def search(self, words: tuple[str, ...]) -> Search:
        """The rows that hold all of these `FIELD=VALUE`. Raises `SettingsError` for a word of another form."""
        from elspeth.audit.explain.search import conditions, search  # a lineage by key starts without it

        return search(self._connection, self.run_id, conditions(words), self.lineage.contents)


@contextmanager
def explain_session(
    place: Place, reference: str, given_up: Callable[[], bool] | None = None
) -> Iterator[ExplainSession]:
    """Look at the run that is meant: an id, the beginning of one, or `latest`. Raises `RunNotFound`.

    `given_up` is asked while the database works; once it says so, what is under way raises `Temporary`.
    """
    connection = database.open_reader(place)
    try:
        if given_up is not None:
            watch(connection, given_up)
        with database.translated_errors(place):
            schema.check_readable(connection, place)
            yield ExplainSession(connection, _run_id(connection, place, reference))
    finally:
        connection.close()


def _run_id(connection: Connection, place: Place, reference: str) -> str:
    query = "SELECT run_id FROM runs WHERE run_id = ?"
    if reference == "latest":
        query = "SELECT run_id FROM runs WHERE ? = 'latest' ORDER BY started_at DESC, run_id DESC LIMIT 1"
    found = connection.execute(query, (reference,)).fetchone()
    if found is not None:
        return str(found[0])
    # The beginning of an id, or an error: not worth every start's time.
    from elspeth.audit.query.reader import AuditReader

    with AuditReader(place) as reader:
        return reader.run(reference).run_id
