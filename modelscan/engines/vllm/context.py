"""The longest ``--max-model-len`` that vLLM accepts for a config.json.

Source: ``_get_and_verify_max_len`` of 0.7 to 0.33. Up to 0.29 YaRN's original length times its
factor counts; from 0.30 on ``max_position_embeddings`` counts as scaled already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.rope_length import YARN, stated
from modelscan.engines.support_rules import Support, absent

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload
    from modelscan.engines.version_tables import VersionFacts

_SCALED_ALREADY = "gemma3"  # model types whose positions include the factor
_OVERRIDES, _SCALING = "hf-overrides", ("rope-scaling",)
_COMMAND_R = "model_max_length"  # counts instead of the others, the least of which counts else
LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


def longest(architecture: Architecture, workload: Workload, facts: VersionFacts) -> int | None:
    """Tokens; None where the config states no length."""
    lengths, ropes = stated(architecture, workload, _OVERRIDES, _SCALING)
    positions = lengths.get(_COMMAND_R) or min(lengths.values(), default=None)
    if positions is None or _SCALED_ALREADY in architecture.name:
        return positions
    length, factor = float(positions), 1.0
    for rope in ropes:
        if not rope.kind or facts.has("unscaled_rope", rope.kind):
            continue
        factor = rope.factor or factor
        if rope.kind == YARN and rope.original_tokens:
            length = rope.original_tokens
    return int(length * factor)


def context_rule(
    architecture: Architecture, workload: Workload, facts: VersionFacts
) -> Support | None:
    """A requested context above the longest one."""
    tokens, most = workload.context_tokens, longest(architecture, workload, facts)
    if not tokens or most is None or tokens <= most:
        return None
    return absent(
        f"vLLM {facts.version} refuses a context of {tokens:,} tokens: config.json gives {most:,}"
        f"{_remedy(architecture, facts)}"
    )


def _remedy(architecture: Architecture, facts: VersionFacts) -> str:
    if any(rope.kind == YARN for rope in architecture.checkpoint.ropes):
        if facts.has("unscaled_rope", YARN):
            return (
                "; since 0.30 its YaRN factor is not applied: --param hf-overrides with "
                "max_position_embeddings raises it"
            )
        return ""
    return "; --param hf-overrides with YaRN settings of the model's card extends it"
