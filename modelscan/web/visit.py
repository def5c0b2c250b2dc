"""A visitor's request as pages read it: bounded, without control characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

_LONGEST, _MOST = 200, 32
Value = str | int | None


@dataclass(frozen=True, slots=True)
class Visit:
    """``path`` and the query: the first value of each name, and all of those that repeat;
    ``parts``: what the path names.
    """

    path: str
    values: Mapping[str, str]
    repeated: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """A value as text."""
        return self.values.get(name, default)

    def number(self, name: str, default: int, least: int = 0, most: int = 10_000_000) -> int:
        """A whole number within bounds; anything else is the default."""
        text = self.values.get(name, "")
        if not text.isascii() or not text.isdigit() or len(text) > 12:
            return default
        return max(least, min(most, int(text)))

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.values.get(name) == "1"

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """A value of a list; anything else is ""."""
        value = self.values.get(name, "")
        return value if value in choices else ""

    def link(self, path: str | None = None, **changes: Value) -> str:
        """An address with this query and some values changed (None: left out)."""
        merged: dict[str, Value] = {**self.values, **changes}
        kept = {name: value for name, value in merged.items() if value not in (None, "")}
        query = urlencode(kept)
        return f"{path or self.path}{'?' if query else ''}{query}"


@dataclass(frozen=True, slots=True)
class View:
    """What a page becomes: a template, its values, and the HTTP status."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


def visit_of(request: Request) -> Visit:
    """The request, cut to what pages read."""
    rows = list(_rows(request))
    first: dict[str, str] = {}
    every: dict[str, tuple[str, ...]] = {}
    for name, value in rows:
        first.setdefault(name, value)
        every[name] = (*every.get(name, ()), value)
    parts = {name: _clean(str(value)) for name, value in request.path_params.items()}
    return Visit(request.url.path, first, every, parts)


def _rows(request: Request) -> Iterator[tuple[str, str]]:
    for name, value in request.query_params.multi_items()[:_MOST]:
        yield name[:40], _clean(value)


def _clean(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).strip()[:_LONGEST]
