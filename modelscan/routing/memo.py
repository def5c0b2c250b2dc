"""Parts of the last table that can be used again: most entries are the same in the next one. Pure.

The caller keeps a memo from table to table; it belongs to one compilation at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar, cast

from modelscan.routing.facts import Known
from modelscan.routing.role_format import RoleFields

T = TypeVar("T")
Cell = dict[Hashable, object]


class TableMemo:
    """For each entry a cell with what was made of it; an entry that changed gets a new cell."""

    def __init__(self) -> None:
        self._entries: Mapping[str, Known] = {}
        self._cells: dict[str, Cell] = {}
        self._roles: tuple[RoleFields, ...] = ()

    def begin(self, roles: tuple[RoleFields, ...], entries: Sequence[Known]) -> None:
        """Keep the cells of entries that are what they were; of none if a role changed."""
        before = self._entries if roles == self._roles else {}
        cells: dict[str, Cell] = {}
        for entry in entries:
            old = before.get(entry.name)
            kept = old is not None and _is_same(old, entry)
            cells[entry.name] = self._cells[entry.name] if kept else {}
        self._entries, self._cells, self._roles = {e.name: e for e in entries}, cells, roles

    def made(self, entry: Known, key: Hashable, make: Callable[[], T]) -> T:
        """What was made of an entry under a key; made now if it is not there."""
        cell = self._cells[entry.name]
        if key not in cell:
            cell[key] = make()
        return cast(T, cell[key])


def _is_same(old: Known, new: Known) -> bool:
    """Whether nothing that is known of an entry changed; its place may have."""
    same = old.route is new.route and old.fields is new.fields and old.model is new.model
    if not same or old.secret != new.secret or old.spent != new.spent:
        return False
    return old.seen == new.seen
