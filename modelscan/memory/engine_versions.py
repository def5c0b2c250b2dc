"""Engine versions: parse what people and logs write, and pick the row of a version table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

Version = tuple[int, int, int]
NEWEST: Version = (9999, 0, 0)
_NUMBER = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


class Since(Protocol):
    """A row of a version table: valid from ``since`` until the next row."""

    @property
    def since(self) -> Version: ...


Row = TypeVar("Row", bound=Since)


def parse_version(text: str | None) -> Version:
    """``0.20.2rc1.dev249`` -> (0, 20, 2). Unknown, ``latest`` or a date -> ``NEWEST``.

    A leading ``v`` is allowed; dates such as ``2026-08`` are no versions of these engines.
    """
    match = _NUMBER.match((text or "").strip().lstrip("v"))
    if not match:
        return NEWEST
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch or 0)


def row_for(table: Sequence[Row], version: Version) -> Row:
    """The last row whose ``since`` is not newer than ``version``; the oldest one before that.

    ``table`` runs from old to new.
    """
    chosen = table[0]
    for row in table:
        if row.since <= version:
            chosen = row
    return chosen
