"""Where an audit database is: a file of SQLite, or a schema in a database of PostgreSQL, named by one text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlencode, urlsplit

from elspeth.errors import SettingsError

SCHEMES = ("postgresql", "postgres")
_OURS = "schema"
_EXAMPLES = "write sqlite:///./runs/audit.db, sqlite:////an/absolute/path, or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A schema in a database of PostgreSQL.

    `url` is what libpq takes, without our own parameter `schema`; it may hold a password, so it is shown as `str` of
    this value alone, which leaves the password out, and is never kept.
    """

    url: str
    schema: str = "public"

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        user = quote(unquote(parts.username), safe="") + "@" if parts.username else ""
        host = parts.netloc.rpartition("@")[2]
        kept = [(key, value) for key, value in _given(parts.query) if key not in ("password", "sslpassword")]
        if self.schema != "public":
            kept.append((_OURS, self.schema))
        return _url(user + host, parts.path, kept)

    def __repr__(self) -> str:
        return f"PostgresPlace({str(self)!r})"

    def absolute(self) -> PostgresPlace:
        """The same place from any working directory, as `Path.absolute` answers it: this one."""
        return self

    @property
    def whole(self) -> str:
        """The text that `place_of` reads back, with the password if it has one: for a child process alone."""
        parts = urlsplit(self.url)
        kept = _given(parts.query)
        if self.schema != "public":
            kept.append((_OURS, self.schema))
        return _url(parts.netloc, parts.path, kept)


Place = Path | PostgresPlace
"""Where an audit database is."""


def wire(place: Place) -> str:
    """The place for a child process, which `from_wire` reads back: with the password if it has one."""
    return place.whole if isinstance(place, PostgresPlace) else str(place.absolute())


def from_wire(text: str) -> Place:
    """The place that was sent. An absolute path is one, whatever is in it."""
    return Path(text) if text.startswith("/") else place_of(text)


def place_of(url: str) -> Place:
    """Where the database is that this text names: a plain path, `sqlite:///PATH` or `postgresql://...`.

    `sqlite:///./runs/audit.db` is relative, four slashes make a path absolute. Of PostgreSQL all that libpq knows may
    stand in the URL, and `schema=NAME` besides. Raises `SettingsError` for any other kind of database.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url)
    if scheme in SCHEMES:
        parts = urlsplit(url)
        given = _given(parts.query)
        schema = next((value for key, value in given if key == _OURS), "public")
        return PostgresPlace(_url(parts.netloc, parts.path, [pair for pair in given if pair[0] != _OURS]), schema)
    if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2 or rest == "/:memory:":
        raise SettingsError(f"{url!r} names no audit database", next_step=_EXAMPLES)
    return Path(unquote(rest[1:]))


def _url(server: str, path: str, given: list[tuple[str, str]]) -> str:
    """A URL as libpq reads it, who insists on both slashes where no server is named."""
    return f"postgresql://{server}{path}" + (f"?{urlencode(given, quote_via=quote)}" if given else "")


def _given(query: str) -> list[tuple[str, str]]:
    """What is given in a query, as libpq reads it, to whom a plus sign is one."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(key), unquote(value)) for key, _, value in pairs]
