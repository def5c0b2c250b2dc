"""The longest ``--context-length`` that SGLang accepts for a config.json.

Source: ``get_context_length`` of 0.4 to 0.5.23: a factor counts only where
``original_max_position_embeddings`` is not stated, and never for Llama 3's scaling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.rope_length import stated
from modelscan.engines.support_rules import Support, absent

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload
    from modelscan.engines.version_tables import VersionFacts

_OVERRIDES = "json-model-override-args"
_UNSCALED = "llama3"
_KEYS = ("max_sequence_length", "seq_length", "max_seq_len", "model_max_length")  # the first counts


def longest(architecture: Architecture, workload: Workload) -> int | None:
    """Tokens; None where the config states no length."""
    lengths, ropes = stated(architecture, workload, _OVERRIDES)
    positions = next((lengths[key] for key in (*_KEYS, *lengths) if key in lengths), None)
    if positions is None:
        return None
    for rope in ropes:
        if rope.kind and rope.kind != _UNSCALED and not rope.original_tokens and rope.factor:
            return int(positions * rope.factor)
    return positions


def context_rule(
    architecture: Architecture, workload: Workload, facts: VersionFacts
) -> Support | None:
    """A requested context above the longest one."""
    tokens, most = workload.context_tokens, longest(architecture, workload)
    if not tokens or most is None or tokens <= most:
        return None
    return absent(
        f"SGLang {facts.version} refuses a context of {tokens:,} tokens: config.json gives "
        f"{most:,}; --param {_OVERRIDES} with the settings of the model's card extends it"
    )
