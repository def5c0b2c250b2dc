"""The engine that the user selected (``engine use``), per name: ``state/engines/selected.json``.

A setting (``llama_server``, ``vllm`` …) has precedence, as every setting has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from modelscan.core.json_reader import json_value
from modelscan.state.config import Config
from modelscan.state.files import write_atomic


def selected(config: Config) -> Mapping[str, str]:
    """Name of the engine -> id; empty where nothing was selected."""
    try:
        value = json_value((config.paths.engines_dir / "selected.json").read_bytes())
    except (OSError, ValueError):
        return {}
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: one for name, one in pairs if isinstance(one, str)}


def select(config: Config, engine: str, chosen: str | None) -> None:
    """Record the selection; None forgets it. The caller holds the engine's lock."""
    others = {name: one for name, one in selected(config).items() if name != engine}
    new = others if chosen is None else {**others, engine: chosen}
    write_atomic(config.paths.engines_dir / "selected.json", json.dumps(new, indent=1))
