"""Engine versions: parsing, and the row of a version table that applies."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

Version = tuple[int, int, int]
NEWEST: Version = (9999, 0, 0)
_NUMBER = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_MAJOR = re.compile(r"\d{1,2}$")


class Since(Protocol):
    """A row of a version table: valid from ``since`` until the next row."""

    @property
    def since(self) -> Version:
        """The first version that the row applies to."""


Row = TypeVar("Row", bound=Since)


@functools.lru_cache(maxsize=64)
def parse_version(text: str | None) -> Version:
    """``0.20.2rc1.dev249`` -> (0, 20, 2). Unknown, ``latest`` or a date -> ``NEWEST``.

    A leading ``v`` is allowed; dates such as ``2026-08`` are no versions of these engines.
    """
    plain = (text or "").strip().lstrip("v")
    match = _NUMBER.match(plain)
    if not match:
        return (int(plain), 0, 0) if _MAJOR.match(plain) else NEWEST
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


def unknown_note(engine: str, text: str, oldest: str, newest: str) -> tuple[str, ...]:
    """A note on the version assumed for one outside the known range; () inside."""
    parsed = parse_version(text)
    if parsed[:2] > parse_version(newest)[:2]:
        problem = "is not a number" if parsed == NEWEST else f"is newer than {newest}"
        return (f"{engine} {text} {problem}: treated as {newest}, the newest known",)
    if parsed[:2] < parse_version(oldest)[:2]:
        return (f"{engine} {text} is older than {oldest}: treated as {oldest}, the oldest known",)
    return ()
