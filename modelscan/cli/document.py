"""What a command returns: one document that every output mode can print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people; the first column is what one pastes next. ``None`` cells print as ``-``.

    ``numeric`` columns (by header) are right-aligned on a terminal.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    numeric: Sequence[str] = ()
    empty: str | None = None  # said on stderr when there are no rows


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
    """Something said to a person on stderr; never data."""

    text: str


Block = Table | Fields | Text | Note


@dataclass(frozen=True, slots=True)
class Document:
    """``schema`` without prefix and version (``catalog.search``); ``body`` is its JSON.

    ``ids`` is what ``-q`` prints. ``exit_code`` lets an answer be an answer and still not 0
    (``plan`` that does not fit: 3).
    """

    schema: str
    body: Mapping[str, Any]
    blocks: Sequence[Block] = ()
    ids: Sequence[str] = ()
    warnings: Sequence[str] = ()
    exit_code: int = 0
    version: int = 1
    hint: str | None = field(default=None)
