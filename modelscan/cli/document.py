"""The document that a command returns and every output mode can print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

if TYPE_CHECKING:  # type variables have defaults only from Python 3.13 on
    from typing_extensions import TypeVar

    Body = TypeVar("Body", covariant=True, default=Any)
else:
    from typing import TypeVar

    Body = TypeVar("Body", covariant=True)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows; the first column is an argument for the next command. ``None`` prints as ``-``.

    Columns by header, on a terminal: ``numeric`` ones are right-aligned; they, the first and
    ``whole`` ones are never shortened; ``folded`` ones wrap, all others are cut with ``…``.
    ``optional`` ones are omitted, the last first, where the terminal is too narrow. Where the
    rest does not fit either, each row is printed as a record, one field per line. ``below`` ones
    are lines of their own below the row: long texts that few rows have.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    numeric: Sequence[str] = ()
    empty: str | None = None  # printed on stderr where there are no rows
    optional: Sequence[str] = ()
    whole: Sequence[str] = ()
    folded: Sequence[str] = ()
    below: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """``name  value`` lines; in a pipe, tab-separated."""

    pairs: Sequence[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Text:
    """Lines printed as they are (data)."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence on stderr for readers; never data."""

    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A memory bar for a terminal; in a pipe nothing, because a table has the numbers.

    ``parts`` are names and bytes, in order; what is left of ``total_bytes`` is free.
    """

    label: str
    parts: Sequence[tuple[str, int]]
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Markdown:
    """A page of the manual: drawn on a terminal, in a pipe printed as it is.

    ``page``: its name, which links in it are relative to.
    """

    text: str
    page: str


Block = Table | Fields | Text | Note | Bar | Markdown


@dataclass(frozen=True, slots=True)
class Document(Generic[Body]):
    """``schema`` without prefix and version (``catalog.search``); ``body`` is the typed answer.

    ``body``'s JSON form is ``core.jsonform.to_json`` of it. ``ids`` is what ``-q`` prints.
    ``exit_code`` is not 0 where a complete answer is no success (``plan``: does not fit, 3).
    """

    schema: str
    body: Body
    blocks: Sequence[Block] = ()
    ids: Sequence[str] = ()
    warnings: Sequence[str] = ()
    exit_code: int = 0
    version: int = 1
    hint: str | None = field(default=None)
