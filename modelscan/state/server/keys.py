"""Keys of the server: made, listed, revoked. Only a keyed hash of each is stored."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from modelscan.core.access import SCOPES, Scope, key_digest
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.nearest import nearest
from modelscan.state.files import write_atomic
from modelscan.state.locks import hold
from modelscan.state.server.audit import Actor, local_user, record_audit
from modelscan.state.server.database import ServerDatabase, record_change
from modelscan.state.server.tables import KEYS, SERVER_VALUES
from modelscan.state.server.usage import BudgetPeriod, Used, User, forget_usage, used_tokens

CHANGED = "keys"
HASH_KEY_FILE = "key-hash"
STRONG_LENGTH, MAX_LENGTH = 16, 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_VALUE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may do. None: no limit; ``models`` are names of models, routes and roles.

    ``expires_at`` is a UNIX time. ``budget_tokens`` are input and output tokens per period.
    """

    scopes: tuple[Scope, ...] = ("infer",)
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    max_concurrent: int | None = None
    budget_tokens: int | None = None
    budget_period: BudgetPeriod | None = None
    default_route: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored key. ``used_tokens``: of its budget, in the current period."""

    name: str
    digest: bytes
    limits: KeyLimits
    created_at: float
    last_used_at: float | None
    used_tokens: int

    @property
    def spent_out(self) -> bool:
        """Whether its budget is used up."""
        budget = self.limits.budget_tokens
        return budget is not None and self.used_tokens >= budget


class KeyStore:
    """The keys in the server's database. ``who`` changes them (None: the user of this machine)."""

    def __init__(self, database: ServerDatabase, who: Actor | None = None) -> None:
        self._database = database
        self._who = who

    def create(
        self, name: str | None, limits: KeyLimits, value: str | None = None
    ) -> tuple[str, str]:
        """Store a key and return its name and value (a new random one, unless ``value`` is given).

        Raises UsageError for a name or value that is invalid or in use.
        """
        _check(limits)
        token = "sk-ms-" + secrets.token_hex(20) if value is None else _checked_value(value)
        digest = key_digest(token.encode(), hash_key(self._database))
        with self._database.writing() as connection:
            taken = set(connection.execute(sa.select(KEYS.c.name)).scalars())
            name = _free_name(taken) if name is None else _checked_name(name, taken)
            try:
                connection.execute(sa.insert(KEYS).values(_row(name, digest, limits)))
            except sa.exc.IntegrityError as error:
                raise _in_use() from error
            forget_usage(connection, User("key", name))
            record_change(connection, CHANGED)
            self._record(connection, "key.create", name, after=_shown(limits))
        return name, token

    def list(self, now: float | None = None) -> list[KeyRecord]:
        """Every key, by name. Raises ModelscanError if the database is unusable."""
        moment = time.time() if now is None else now
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(KEYS).order_by(KEYS.c.name)).mappings().all()
            used = used_tokens(connection, moment)
        return [_record(row, used) for row in rows]

    def revoke(self, name: str) -> None:
        """Delete a key; a running server refuses it within a second.

        Raises UsageError with the nearest names if there is none.
        """
        own = KEYS.c.name == name
        with self._database.writing() as connection:
            row = connection.execute(sa.select(KEYS).where(own)).mappings().first()
            if row is None:
                names = connection.execute(sa.select(KEYS.c.name)).scalars().all()
                raise _unknown(name, names)
            connection.execute(sa.delete(KEYS).where(own))
            forget_usage(connection, User("key", name))
            record_change(connection, CHANGED)
            before = _shown(_record(row, {}).limits)
            self._record(connection, "key.revoke", name, before=before)

    def _record(self, connection: sa.Connection, what: str, name: str, **values: Any) -> None:
        record_audit(connection, self._who or local_user(), what, name, **values)


def hash_key(database: ServerDatabase) -> bytes:
    """The secret of the keyed hash, 32 bytes; made at its first use.

    It is a file next to a SQLite file; in PostgreSQL a row, as every gateway there needs it.
    Raises ModelscanError for a file of another length: with it, no stored key would be accepted.
    """
    if database.file is None:
        return _stored_hash_key(database)
    file = database.file.with_name(HASH_KEY_FILE)
    with hold(file.with_name(f".{HASH_KEY_FILE}.lock"), what="the secret of the keys"):
        if not file.exists():
            write_atomic(file, secrets.token_bytes(32))
        secret = file.read_bytes()
    if len(secret) != 32:
        raise ModelscanError(
            f"{file} has {len(secret)} bytes instead of 32: no stored key can be checked",
            hint=f"restore it from a backup, or rm '{file}' and create the keys again",
            code="key_hash",
        )
    return secret


@contextlib.contextmanager
def replaced_hash_key(
    database: ServerDatabase, secret: bytes
) -> Iterator[Callable[[sa.Connection], None]]:
    """Gives the function that replaces the secret; it comes back where the block fails."""
    file = None if database.file is None else database.file.with_name(HASH_KEY_FILE)
    before = file.read_bytes() if file is not None and file.exists() else None

    def put(connection: sa.Connection) -> None:
        if file is not None:
            write_atomic(file, secret)
            return
        connection.execute(sa.delete(SERVER_VALUES).where(SERVER_VALUES.c.name == HASH_KEY_FILE))
        connection.execute(sa.insert(SERVER_VALUES).values(name=HASH_KEY_FILE, value=secret))

    try:
        yield put
    except BaseException:
        if file is not None and before is not None:
            write_atomic(file, before)
        raise


def _stored_hash_key(database: ServerDatabase) -> bytes:
    query = sa.select(SERVER_VALUES.c.value).where(SERVER_VALUES.c.name == HASH_KEY_FILE)
    with database.reading() as connection:
        known = connection.execute(query).scalar()
    if known is not None:
        return bytes(known)
    with database.writing() as connection:
        known = connection.execute(query).scalar()
        if known is None:
            known = secrets.token_bytes(32)
            connection.execute(sa.insert(SERVER_VALUES).values(name=HASH_KEY_FILE, value=known))
    return bytes(known)


def _shown(limits: KeyLimits) -> dict[str, Any]:
    """Limits as a JSON value."""
    return asdict(limits)


def _row(name: str, digest: bytes, limits: KeyLimits) -> dict[str, Any]:
    return {
        "name": name,
        "digest": digest,
        "scopes": list(limits.scopes),
        "models": None if limits.models is None else list(limits.models),
        "requests_per_minute": limits.requests_per_minute,
        "max_concurrent": limits.max_concurrent,
        "budget_tokens": limits.budget_tokens,
        "budget_period": limits.budget_period,
        "default_route": limits.default_route,
        "created_at": time.time(),
        "expires_at": limits.expires_at,
    }


def _record(row: Any, used: Used) -> KeyRecord:
    models = row["models"]
    period: BudgetPeriod | None = row["budget_period"]
    limits = KeyLimits(
        scopes=tuple(row["scopes"]),
        models=None if models is None else tuple(models),
        requests_per_minute=row["requests_per_minute"],
        max_concurrent=row["max_concurrent"],
        budget_tokens=row["budget_tokens"],
        budget_period=period,
        default_route=row["default_route"],
        expires_at=row["expires_at"],
    )
    tokens = used.get((User("key", row["name"]), period or "total"), 0)
    return KeyRecord(
        row["name"], row["digest"], limits, row["created_at"], row["last_used_at"], tokens
    )


def _check(limits: KeyLimits) -> None:
    if not limits.scopes:
        raise UsageError("a key needs a scope", hint="modelscan key create --scope infer")
    for scope in limits.scopes:
        if scope not in SCOPES:
            near = nearest(scope, SCOPES)
            raise UsageError(
                f"there is no scope '{scope}'; the scopes are {', '.join(SCOPES)}",
                hint=f"modelscan key create --scope {near[0] if near else 'infer'}",
            )
    numbers = {
        "requests per minute": limits.requests_per_minute,
        "concurrent requests": limits.max_concurrent,
        "tokens of a budget": limits.budget_tokens,
    }
    for what, number in numbers.items():
        if number is not None and number < 1:
            raise UsageError(
                f"{number} {what}: give at least 1", hint="modelscan key create --help"
            )


def _checked_name(name: str, taken: set[str]) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is not a name for a key: letters, digits, '.', '_' and '-', at most 63",
            hint="modelscan key create laptop",
            code="bad_name",
        )
    if name in taken:
        raise UsageError(
            f"there is a key '{name}' already",
            hint=f"choose another name, or first: modelscan key revoke {name}",
            code="name_in_use",
        )
    return name


def _free_name(taken: set[str]) -> str:
    return next(name for n in range(1, len(taken) + 2) if (name := f"key-{n}") not in taken)


def _checked_value(value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise UsageError(
            "a key consists of printable ASCII characters without spaces",
            hint="create it without --value: modelscan then makes a random one",
        )
    if len(value) > MAX_LENGTH:
        raise UsageError(
            f"this key has {len(value)} characters; the most is {MAX_LENGTH}",
            hint="create it without --value: modelscan then makes a random one",
        )
    return value


def _in_use() -> UsageError:
    return UsageError(
        "another key has this value already", hint="modelscan key list", code="value_in_use"
    )


def _unknown(name: str, names: Sequence[str]) -> UsageError:
    near = nearest(name, names, limit=3)
    return UsageError(
        f"there is no key '{name}'",
        hint=f"modelscan key revoke {near[0]}" if near else "modelscan key list",
        code="unknown_key",
        details={"nearest": near},
    )
