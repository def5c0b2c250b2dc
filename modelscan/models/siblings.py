"""Models of the same series, whose layers are the likeliest ones of an unknown architecture."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.read import Index
from modelscan.core.architecture import PARTIAL, Architecture
from modelscan.memory.architecture.from_config import from_config

if TYPE_CHECKING:
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths

_SERIES = re.compile(r"^[a-z.-]*?\d+(?:\.\d+)?(?=[a-z]?(?:-|$))")  # qwen3.5, gemma-4, glm-4.7
_DEPTH_EXPONENT = 0.3  # layers grow with parameters ** 0.3 in published series
_MOE_SHARE = 0.7  # of the parameters: fewer are active in a mixture of experts
_SAME_SIZE = 0.03


class Sibling(NamedTuple):
    """A model with an architecture; ``parameters`` of the whole model."""

    id: str
    parameters: int
    architecture: Architecture
    moe: bool
    partial: bool  # its sizes are known, but not which layers have a window


def sibling_of(model: Model, paths: Paths) -> tuple[str, Architecture] | None:
    """The id of the closest model of the series, and its architecture at this model's depth.

    A series is the name up to its version (``qwen3.5``); models of the same makers with the same
    number of parameters count as well, then those of the same major version (``mimo-v2`` for
    ``mimo-v2.5``). None if there is none, or only one of the other kind (dense or a mixture of
    experts).
    """
    if not model.parameters or not model.lab:
        return None
    moe = is_moe(model)
    series = _series(model.id)
    with open_index(paths) as index:
        known = _of_lab(str(index.path), index.path.stat().st_mtime_ns, model.lab)

    def kinship(one: Sibling) -> int:
        """0: of the series, 1: of its size, 2: of the major version, 3: of none of them."""
        own = _series(one.id)
        if series and own == series:
            return 0
        if _distance(one, model) < _SAME_SIZE:
            return 1
        return 2 if series and own and _major(own) == _major(series) else 3

    def rank(one: Sibling) -> tuple[int, bool, float, str]:
        return (kinship(one), one.partial, _distance(one, model), one.id)

    near = [one for one in known if one.moe == moe and kinship(one) < 3]
    best = min(near, key=rank, default=None)
    return (best.id, _at_depth(best, model.parameters)) if best else None


def is_moe(model: Model) -> bool:
    """Whether only a part of the parameters is active."""
    active, parameters = model.active_parameters, model.parameters
    return bool(active and parameters and active < _MOE_SHARE * parameters)


def _series(model_id: str) -> str | None:
    match = _SERIES.match(model_id.rpartition("/")[2])
    return match[0] if match else None


def _major(series: str) -> str:
    """``glm-4.7`` -> ``glm-4``."""
    return series.partition(".")[0]


def _distance(one: Sibling, model: Model) -> float:
    return abs(math.log(one.parameters / (model.parameters or 1)))


@functools.lru_cache(maxsize=64)
def _of_lab(path: str, stamp: int, lab: str) -> tuple[Sibling, ...]:
    """The models of one lab with an architecture; ``stamp`` changes with the index."""
    found = []
    with Index(Path(path)) as index:
        sql = "SELECT rowid FROM model WHERE lab=? AND parameters IS NOT NULL AND variants>0"
        for (row,) in index.connection.execute(sql, (lab,)).fetchall():
            model = index.model(row)
            config = model.architecture
            if config and model.parameters:
                architecture = from_config(config)
                moe = architecture.experts is not None
                partial = bool(config.get(PARTIAL))
                found.append(Sibling(model.id, model.parameters, architecture, moe, partial))
    return tuple(found)


def _at_depth(sibling: Sibling, parameters: int) -> Architecture:
    """The sibling's layers, repeated or left out in their order for another size."""
    architecture = sibling.architecture
    count = len(architecture.layers)
    wanted = max(1, round(count * (parameters / sibling.parameters) ** _DEPTH_EXPONENT))
    layers = tuple(architecture.layers[i % count] for i in range(wanted))
    return replace(architecture, layers=layers, mtp_layers=0, vision=False)
