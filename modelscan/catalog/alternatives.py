"""Open models as alternatives to a model with closed weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.catalog.index.current import open_index

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths

_CAPABILITIES = ("tools", "reasoning", "vision")
# The same lab's models first, then by popularity (the order of rows).
_QUERY = """
SELECT id FROM model
WHERE open = 1 AND variants > 0 AND id <> :id AND COALESCE(task, 'chat') = :task {conditions}
ORDER BY COALESCE(lab, '') <> :lab, rowid LIMIT :limit
"""


def open_alternatives(model: Model, paths: Paths, *, limit: int = 5) -> list[str]:
    """Ids of popular open models for the same task with the same capabilities."""
    index = open_index(paths)
    try:
        return among(index, model, limit=limit)
    finally:
        index.close()


def among(index: Index, model: Model, *, limit: int = 5) -> list[str]:
    """Like ``open_alternatives``, from an open index.

    If fewer than ``limit`` have all capabilities, models that only have the same task are appended.
    """
    capabilities = [name for name in _CAPABILITIES if getattr(model.capabilities, name)]
    if "image" in (model.modalities_in or ()) and "vision" not in capabilities:
        capabilities.append("vision")
    parameters = {
        "id": model.id, "task": model.task or "chat", "limit": limit,
        "lab": model.lab or model.id.partition("/")[0],
    }  # fmt: skip
    ids: list[str] = []
    for required in (capabilities, []):
        clause = "".join(f" AND {name} = 1" for name in required)
        rows = index.connection.execute(_QUERY.format(conditions=clause), parameters)
        ids += [row[0] for row in rows if row[0] not in ids]
    return ids[:limit]
