"""The longest context that a config.json gives an engine, with the user's overrides of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from modelscan.core.checkpoint import RopeScaling
from modelscan.memory.architecture.checkpoint import rope_of
from modelscan.memory.architecture.config_fields import whole

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload

YARN = "yarn"
_TABLES = ("rope_parameters", "rope_scaling")
_LENGTH = "max_position_embeddings"


def stated(
    architecture: Architecture, workload: Workload, overrides: str, scaling: Iterable[str] = ()
) -> tuple[dict[str, int], tuple[RopeScaling, ...]]:
    """(length of every key that states one, RoPE settings) of the config with the user's overrides.

    ``overrides``: the option with a JSON object that replaces keys of the config; ``scaling``:
    options that replace its RoPE settings alone.
    """
    lengths = dict(architecture.checkpoint.lengths)
    if not lengths and architecture.context_tokens:
        lengths = {_LENGTH: architecture.context_tokens}
    ropes = architecture.checkpoint.ropes
    for name in scaling:
        table = _object(workload.parameter(name))
        ropes = (rope_of(table),) if table else ropes
    changed = _object(workload.parameter(overrides))
    changed = {**changed, **_nested(changed)}
    tables = [changed[key] for key in _TABLES if isinstance(changed.get(key), Mapping)]
    names = {_LENGTH, *lengths}
    lengths |= {name: n for name in names if (n := whole(changed.get(name)))}
    return lengths, tuple(map(rope_of, tables[:1])) or ropes


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}  # the engine reports it
    return value if isinstance(value, dict) else {}


def _nested(changed: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = changed.get("text_config")
    return inner if isinstance(inner, Mapping) else {}
