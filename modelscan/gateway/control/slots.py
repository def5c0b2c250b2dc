"""Rows of the shared counters: a backend or key keeps its row across reloads."""

from __future__ import annotations

from collections.abc import Iterable

from modelscan.core.errors import UsageError


class Slots:
    """Gives names rows 0..``size`` - 1; the row of a name that is gone is given away last."""

    def __init__(self, size: int, what: str) -> None:
        self._size = size
        self._what = what
        self._rows: dict[str, int] = {}

    def assign(self, names: Iterable[str]) -> dict[str, int]:
        """The row of each name. Raises UsageError if there are more names than rows."""
        wanted = dict.fromkeys(names)
        if len(wanted) > self._size:
            raise UsageError(
                f"{len(wanted)} {self._what}: this gateway serves at most {self._size}",
                hint="modelscan route list",
            )
        kept = {name: row for name, row in self._rows.items() if name in wanted}
        taken = set(kept.values())
        fresh = (row for row in self._free_rows() if row not in taken)
        for name in wanted:
            if name not in kept:
                kept[name] = next(fresh)
        self._rows = kept
        return {name: kept[name] for name in wanted}

    def _free_rows(self) -> Iterable[int]:
        """Rows without a name first, then the ones of names that are gone."""
        used = set(self._rows.values())
        return iter([row for row in range(self._size) if row not in used] + sorted(used))
