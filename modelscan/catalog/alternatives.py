"""Open models to run instead of one whose weights are closed."""

from __future__ import annotations

from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.read import Index
from modelscan.core.model import Model
from modelscan.state.paths import Paths

_ABLE = ("tools", "reasoning", "vision")
# Of the same lab first, then as the index orders: by popularity.
_QUERY = """
SELECT id FROM model
WHERE open = 1 AND variants > 0 AND id <> :id AND COALESCE(task, 'chat') = :task {able}
ORDER BY COALESCE(lab, '') <> :lab, rowid LIMIT :limit
"""


def open_alternatives(model: Model, paths: Paths, *, limit: int = 5) -> list[str]:
    """Ids of popular open models for the same task that can do what this one can."""
    index = open_index(paths)
    try:
        return among(index, model, limit=limit)
    finally:
        index.close()


def among(index: Index, model: Model, *, limit: int = 5) -> list[str]:
    """As ``open_alternatives``, from an open index.

    Where fewer than ``limit`` can do all of it, those that only share the task follow.
    """
    able = [name for name in _ABLE if getattr(model.capabilities, name)]
    if "image" in model.modalities_in and "vision" not in able:
        able.append("vision")
    given = {
        "id": model.id, "task": model.task or "chat", "limit": limit,
        "lab": model.lab or model.id.partition("/")[0],
    }  # fmt: skip
    found: list[str] = []
    for wanted in (able, []):
        clause = "".join(f" AND {name} = 1" for name in wanted)
        rows = index.connection.execute(_QUERY.format(able=clause), given)
        found += [row[0] for row in rows if row[0] not in found]
    return found[:limit]
