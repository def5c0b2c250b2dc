"""Open models as alternatives to a model with closed weights: near it in class and date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.catalog.index.current import open_index
from modelscan.formats.repo_names import tokens

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths

_CAPABILITIES = ("tools", "reasoning", "vision")
# Words of a closed model's name for its class: the largest number of parameters of its equals.
_SMALL, _MEDIUM = 15_000_000_000, 150_000_000_000
_CLASS_WORDS = (
    (("nano", "lite", "tiny", "micro", "haiku", "small"), _SMALL),
    (("mini", "flash", "fast", "turbo", "air"), _MEDIUM),
)
# Models of the same size class first, then the same lab's, then by popularity (the order of rows)
# among those released in the same years.
_QUERY = """
SELECT id FROM model
WHERE open = 1 AND variants > 0 AND id <> :id AND COALESCE(task, 'chat') = :task {conditions}
ORDER BY COALESCE(parameters, 0) > :largest, COALESCE(lab, '') <> :lab,
         COALESCE(release, '') < :since, rowid
LIMIT :limit
"""
_YEARS_BEFORE = 1  # an alternative is not much older than the model itself


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
        "lab": model.lab or model.id.partition("/")[0], "largest": _largest(model),
        "since": _since(model.release_date),
    }  # fmt: skip
    ids: list[str] = []
    for required in (capabilities, []):
        clause = "".join(f" AND {name} = 1" for name in required)
        rows = index.connection.execute(_QUERY.format(conditions=clause), parameters)
        ids += [row[0] for row in rows if row[0] not in ids]
    return ids[:limit]


def _largest(model: Model) -> int:
    """The parameters up to which an open model is of the same class.

    By the model's own size, if known, else by a word of its name.
    """
    if model.parameters:
        return 2 * model.parameters
    words = set(tokens(model.id.rpartition("/")[2]))
    return next((most for names, most in _CLASS_WORDS if words & set(names)), 1 << 62)


def _since(date: str | None) -> str:
    """The first year of alternatives; "" if the model's own date is unknown."""
    year = (date or "")[:4]
    return str(int(year) - _YEARS_BEFORE) if year.isdecimal() else ""
