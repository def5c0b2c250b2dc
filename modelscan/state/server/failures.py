"""Errors of the server's database, explained: which one it is, and the command to type next."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from modelscan.core.errors import AuthError, ModelscanError, RemoteError
from modelscan.state.database import explained
from modelscan.state.server.place import DatabasePlace

UNREACHABLE = "database_unreachable"
UNSTORABLE = "unstorable"
"""A value that the database does not take: the same statement fails again."""
_ALL_IN_USE = "all of its connections are in use"
CONFIGURED = "modelscan config get database_url"


@contextlib.contextmanager
def database_errors(place: DatabasePlace) -> Iterator[None]:
    """Turn errors into ModelscanError; SQLAlchemy's IntegrityError passes.

    RemoteError (code ``database_unreachable``): the server does not answer; AuthError: it refuses
    this user.
    """
    with _unstorable(place):
        if place.file is not None:
            with explained(place.file), _unwrapped(place):
                yield
            return
        try:
            yield
        except IntegrityError:
            raise
        except sa.exc.TimeoutError as error:
            raise _unreachable(place, _ALL_IN_USE) from error
        except DBAPIError as error:
            raise _explained(place, error) from error


@contextlib.contextmanager
def _unstorable(place: DatabasePlace) -> Iterator[None]:
    """What drivers raise for a value before they send it."""
    try:
        yield
    except (OverflowError, UnicodeEncodeError) as error:
        raise _no_value(place, str(error)) from error


@contextlib.contextmanager
def _unwrapped(place: DatabasePlace) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except sa.exc.TimeoutError as error:
        raise _busy(place, _ALL_IN_USE) from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise error.orig from error
        raise


def _explained(place: DatabasePlace, error: DBAPIError) -> ModelscanError:
    origin: Any = error.orig
    state = getattr(origin, "sqlstate", None)
    text = _first_line(str(origin))
    if state is None:
        return (
            _no_value(place, text)  # refused by the driver, as a text with a NUL character is
            if isinstance(error, sa.exc.DataError)
            else _not_connected(place, origin, text)
        )
    for prefix, make in _BY_STATE:
        if state.startswith(prefix):
            return make(place, text)
    return ModelscanError(
        f"the database {place.shown} refused a statement: {text} ({state})",
        hint="modelscan server status",
        code="store",
    )


def _not_connected(place: DatabasePlace, origin: Any, text: str) -> ModelscanError:
    """Before a session exists there is no SQLSTATE, only libpq's text."""
    connection = getattr(origin, "pgconn", None)
    refused = bool(connection and (connection.needs_password or connection.used_password))
    if "does not exist" in text and "database" in text:
        return _no_database(place, text)
    if refused or any(word in text for word in ("authentication", "pg_hba.conf", 'role "')):
        return _refused(place, text)
    return _unreachable(place, text)


def _refused(place: DatabasePlace, text: str) -> ModelscanError:
    return AuthError(
        f"the database {place.shown} refuses this user: {text}",
        hint=f"check the user and the password that is referred to: {CONFIGURED}",
        code="database_refused",
    )


def _no_right(place: DatabasePlace, text: str) -> ModelscanError:
    return AuthError(
        f"this user may not do that in the database {place.shown}: {text}",
        hint="GRANT ALL ON SCHEMA public TO the user, or make it the database's owner; then: "
        "modelscan server status",
        code="database_refused",
    )


def _no_database(place: DatabasePlace, text: str) -> ModelscanError:
    name = sa.make_url(place.url).database or "modelscan"
    return RemoteError(
        f"the server has no such database: {text}",
        hint=f"createdb {shlex.quote(name)}   (on the database's machine)",
        code="no_database",
    )


def _unreachable(place: DatabasePlace, text: str) -> ModelscanError:
    return RemoteError(
        f"the database {place.shown} cannot be reached: {text}",
        hint=_is_ready(place),
        code=UNREACHABLE,
    )


def _is_ready(place: DatabasePlace) -> str:
    """The command of PostgreSQL that tells whether the server accepts connections."""
    url = sa.make_url(place.url)
    host = url.host or url.query.get("host")
    words = ["pg_isready"]
    words += ["-h", str(host)] if host else []
    words += ["-p", str(url.port)] if url.port else []
    return shlex.join(words) + "   (is the server running?)"


def _full(place: DatabasePlace, text: str) -> ModelscanError:
    return ModelscanError(
        f"no space is left for the database {place.shown}: {text}",
        hint="free space on the database's machine, or keep less: "
        "modelscan config set receipts_keep_days 7",
        code="store",
    )


def _read_only(place: DatabasePlace, text: str) -> ModelscanError:
    return ModelscanError(
        f"the database {place.shown} is read only: {text}",
        hint="give the address of the primary server: modelscan config set database_url URL",
        code="store",
    )


def _busy(place: DatabasePlace, text: str) -> ModelscanError:
    return ModelscanError(
        f"the database {place.shown} is busy: {text}",
        hint="wait for the other modelscan commands to finish, then try again",
        code="locked",
    )


def _no_value(place: DatabasePlace, text: str) -> ModelscanError:
    return ModelscanError(
        f"a value cannot be stored in the database {place.shown}: {text}",
        hint="modelscan server status",
        code=UNSTORABLE,
    )


_BY_STATE: tuple[tuple[str, Callable[[DatabasePlace, str], ModelscanError]], ...] = (
    ("28", _refused),
    ("3D", _no_database),
    ("42501", _no_right),
    ("53100", _full),
    ("25006", _read_only),
    ("55P03", _busy),
    ("40", _busy),
    ("08", _unreachable),
    ("53", _unreachable),
    ("57P", _unreachable),
    ("25P03", _unreachable),
    ("22", _no_value),
)


def _first_line(text: str) -> str:
    """What the server or libpq says, without advice and the other addresses that were tried."""
    line = text.strip().partition("\n")[0].strip()
    return line.removeprefix("connection failed: ") or "no reason was given"
