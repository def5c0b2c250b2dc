"""Where the server's database is: a SQLite file, or a PostgreSQL server with its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelscan.core.errors import UsageError
from modelscan.state.config import Config
from modelscan.state.database_url import DatabaseUrl, parse_database_url
from modelscan.state.paths import expand
from modelscan.state.secrets import resolve

FILE_NAME = "server.sqlite3"
DatabaseKind = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """One database. ``file`` None: a PostgreSQL server, at ``url`` with ``password``.

    ``shown`` is how it is printed, without the password.
    """

    shown: str
    file: Path | None = None
    url: str = ""
    password: str | None = field(default=None, repr=False)

    @property
    def kind(self) -> DatabaseKind:
        """Which database it is."""
        return "postgresql" if self.file is None else "sqlite"


def file_place(file: Path) -> DatabasePlace:
    """A SQLite file."""
    return DatabasePlace(str(file), file)


def place_of(config: Config) -> DatabasePlace:
    """The database of ``database_url``, else the file in the state folder.

    Raises UsageError for an address that cannot be used, AuthError where its password is missing.
    """
    text = config.database_url
    if text is None:
        return file_place(config.paths.state / FILE_NAME)
    whole = resolve(text) if text.startswith(("env:", "file:")) else text
    url = parse_database_url(whole)
    if not url.is_postgres:
        return file_place(expand(url.rest[1:]))
    _require_driver()
    return _postgres(url)


def _postgres(url: DatabaseUrl) -> DatabasePlace:
    return DatabasePlace(url.shown, None, url.plain, url.secret(resolve))


def _require_driver() -> None:
    import importlib.util

    if importlib.util.find_spec("psycopg") is None:
        raise UsageError(
            "database_url names a PostgreSQL server, and this installation lacks psycopg",
            hint="pip install 'psycopg[binary]'",
            code="missing_package",
        )
