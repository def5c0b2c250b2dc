"""The setting ``database_url``: which database the server's records are in. Pure.

A password is a reference (``env:NAME``, ``file:PATH``), or in an environment variable; it is never
printed. The whole address may be a reference, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from modelscan.core.errors import UsageError
from modelscan.state.secrets import check_reference

EXAMPLE = "postgresql://modelscan:env:DATABASE_PASSWORD@HOST/modelscan"
POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
_URL = re.compile(
    r"(?P<scheme>[a-z0-9+]+)://(?:(?P<user>[^:/@]*)(?::(?P<password>.*))?@)?(?P<rest>[^@]*)"
)
_SERVER = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[^:/?\[\]]*)(?::[0-9]{1,5})?(?:/[^?]*)?(?:\?.*)?")
_IN_QUERY = re.compile(r"(?<=[?&])(?P<name>(?:ssl)?password)=(?P<value>[^&]*)")
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The parts of an address. ``rest``: host, port, database and options, without credentials.

    ``password`` is as written: a reference, or the password itself (percent-encoded).
    """

    scheme: str
    user: str | None
    password: str | None
    rest: str

    @property
    def is_postgres(self) -> bool:
        """Whether it is a PostgreSQL server; else a SQLite file."""
        return self.scheme in POSTGRES

    @property
    def shown(self) -> str:
        """The address without a password."""
        password = self.password
        if password is not None and not _is_reference(password):
            password = _HIDDEN
        user = "" if self.user is None else self.user
        access = f"{user}:{password}@" if password is not None else f"{user}@" if user else ""
        return f"{self.scheme}://{access}{_IN_QUERY.sub(_masked, self.rest)}"

    @property
    def plain(self) -> str:
        """The address for a driver, without a password."""
        scheme = "postgresql+psycopg" if self.is_postgres else self.scheme
        return f"{scheme}://{f'{self.user}@' if self.user else ''}{self.rest}"

    def secret(self, resolve: Callable[[str], str]) -> str | None:
        """The password; ``resolve`` reads a reference. None: the address has none."""
        if self.password is None:
            return None
        return resolve(self.password) if _is_reference(self.password) else unquote(self.password)


def parse_database_url(text: str) -> DatabaseUrl:
    """Raises UsageError (without the text: it may contain a password) for anything else."""
    match = _URL.fullmatch(text.strip())
    if match is None:
        raise _invalid("it is not an address")
    url = DatabaseUrl(match["scheme"], match["user"] or None, match["password"], match["rest"])
    if url.scheme not in (*POSTGRES, "sqlite"):
        raise _invalid(f"'{url.scheme}' is neither postgresql nor sqlite")
    if not url.is_postgres and (url.user or not url.rest.startswith("/") or len(url.rest) < 2):
        raise _invalid("a SQLite file is given as sqlite:///FOLDER/server.sqlite3")
    if url.is_postgres and not _SERVER.fullmatch(url.rest):
        raise _invalid("the host or the port is not one; several: ?host=ONE:5432&host=TWO:5432")
    if url.password is not None and _is_reference(url.password):
        check_reference(url.password)
    return url


def check_database_url(text: str, origin: str) -> str:
    """The text, if it can be this setting at that origin. Raises UsageError otherwise."""
    if _is_reference(text):
        return check_reference(text)
    url = parse_database_url(text)
    literal = url.password is not None and not _is_reference(url.password)
    if (literal or _IN_QUERY.search(url.rest)) and not origin.startswith("env:"):
        raise UsageError(
            "database_url contains a password; it must be given as a reference",
            hint=f"modelscan config set database_url {EXAMPLE}",
            code="literal_secret",
        )
    return text


def shown_database_url(text: str) -> str:
    """The setting without a password, as it is printed."""
    try:
        return text if _is_reference(text) else parse_database_url(text).shown
    except UsageError:
        return _HIDDEN


def _is_reference(text: str) -> bool:
    return text.startswith(("env:", "file:"))


def _masked(match: re.Match[str]) -> str:
    return f"{match['name']}={_HIDDEN}"


def _invalid(why: str) -> UsageError:
    return UsageError(
        f"database_url is not usable: {why}",
        hint=f"modelscan config set database_url {EXAMPLE}",
        code="database_url",
    )
