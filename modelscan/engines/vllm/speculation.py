"""vLLM's speculative decoding: ``--speculative-config``, and which models draft for themselves.

Source: ``config/speculative.py`` of 0.32.0 (``hf_config_override``); ``mtp`` is the method's name
from 0.11.0 on, which replaced one name per family.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.engines.versions import Version, parse_version

if TYPE_CHECKING:
    from modelscan.engines.option_names import OptionPair
    from modelscan.engines.speculation import Speculation
    from modelscan.engines.version_tables import VersionFacts

OPTION = "speculative-config"
_MTP_SINCE: Version = (0, 11, 0)
# class of the model -> classes that draft for it, any of which a version may have
_DRAFTING = {
    "DeepseekV3ForCausalLM": ("DeepSeekMTPModel",),
    "DeepseekV32ForCausalLM": ("DeepseekV32MTPModel", "DeepSeekMTPModel"),
    "GlmMoeDsaForCausalLM": ("DeepseekV32MTPModel", "DeepSeekMTPModel"),
    "DeepseekV4ForCausalLM": ("DeepSeekV4MTPModel",), "MiMoForCausalLM": ("MiMoMTPModel",),
    "MiMoV2ForCausalLM": ("MiMoV2MTPModel",), "MiMoV2FlashForCausalLM": ("MiMoV2MTPModel",),
    "Glm4MoeForCausalLM": ("Glm4MoeMTPModel",),
    "Glm4MoeLiteForCausalLM": ("Glm4MoeLiteMTPModel",),
    "Ernie4_5_MoeForCausalLM": ("ErnieMTPModel",), "NemotronHForCausalLM": ("NemotronHMTPModel",),
    "Qwen3NextForCausalLM": ("Qwen3NextMTP",), "Step3p5ForCausalLM": ("Step3p5MTP",),
    "Qwen3_5ForConditionalGeneration": ("Qwen3_5MTP",),
    "Qwen3_5MoeForConditionalGeneration": ("Qwen3_5MoeMTP",),
    "LongcatFlashForCausalLM": ("LongCatFlashMTPModel",), "HYV3ForCausalLM": ("HYV3MTPModel",),
    "KimiK3ForConditionalGeneration": ("KimiK3MTPModel",),
    "MiniMaxM3SparseForCausalLM": ("MiniMaxM3MTP",),
    "MiniMaxM3SparseForConditionalGeneration": ("MiniMaxM3MTP",),
}  # fmt: skip


def problem(method: str, classes: Iterable[str], facts: VersionFacts) -> str | None:
    """Why this version cannot draft by a method for a model; None if it can, or it is not known."""
    if facts.rows("flag") and not facts.has("flag", OPTION):
        return f"which vLLM {facts.version} does not have"
    if method != "mtp":
        return None
    if parse_version(facts.version) < _MTP_SINCE:
        return f"vLLM {facts.version} has no method mtp"
    drafting = next((_DRAFTING[name] for name in classes if name in _DRAFTING), None)
    if drafting is None or any(facts.has("architecture", name) for name in drafting):
        return None
    return f"vLLM {facts.version} does not have {drafting[0]}"


def options(wanted: Speculation) -> tuple[OptionPair, ...]:
    """The option of a recommended method."""
    table: dict[str, str | int | None] = {
        "method": wanted.method, "num_speculative_tokens": wanted.tokens, "model": wanted.draft,
        "prompt_lookup_max": wanted.longest, "prompt_lookup_min": wanted.shortest,
    }  # fmt: skip
    given = {key: value for key, value in table.items() if value is not None}
    return ((OPTION, json.dumps(given, separators=(",", ":"))),)
