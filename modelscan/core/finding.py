"""A problem in a file that a person writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``level``: error or warning; ``where``: a path into the file (``routing.mode``)."""

    level: str
    where: str
    message: str
    hint: str | None = None
    line: int | None = None
