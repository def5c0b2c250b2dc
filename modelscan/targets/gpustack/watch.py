"""Watch streams: one JSON object per line, blank heartbeats, no ``data:`` prefix.

Each stream begins with every row as "created", also after a reconnect: created means upsert. A line
cut by a lost connection is dropped. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.json_reader import json_value

UPSERT, DELETE = "upsert", "delete"


@dataclass(frozen=True, slots=True)
class Event:
    """``kind`` is upsert or delete; ``row`` the object as the server returns it."""

    kind: str
    id: int
    row: Mapping[str, Any]


def parse_line(line: str) -> Event | None:
    """The event of a line; None for heartbeats, broken lines and unknown kinds."""
    text = line.strip()
    if text.startswith("data:"):  # in case a later version uses the SSE format
        text = text[5:].strip()
    if not text.startswith("{"):
        return None
    try:
        value = json_value(text)
        row = value.get("data")
        kind = {1: UPSERT, 2: UPSERT, 3: DELETE}.get(value.get("type"))
        if kind is None or not isinstance(row, dict):
            return None
        return Event(kind, int(value.get("id") or row["id"]), row)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
