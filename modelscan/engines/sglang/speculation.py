"""SGLang's speculative decoding: ``--speculative-algorithm``, and models that draft for themselves.

Source: ``srt/configs/model_config.py`` and ``srt/speculative/spec_info.py`` of 0.5.23: NEXTN is the
method of a model's own prediction layers, whose classes the registry lists by these names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.engines.option_names import OptionPair
    from modelscan.engines.speculation import Speculation
    from modelscan.engines.version_tables import VersionFacts

OPTION = "speculative-algorithm"
_ALGORITHMS = {"mtp": "NEXTN", "ngram": "NGRAM", "eagle3": "EAGLE3"}
_OF_OTHER_NAME = {
    "DeepseekV32ForCausalLM": "DeepseekV3ForCausalLMNextN", "MiMoForCausalLM": "MiMoMTP",
    "MiMoV2FlashForCausalLM": "MiMoV2MTP", "MiMoV2ForCausalLM": "MiMoV2MTP",
    "Qwen3_5ForConditionalGeneration": "Qwen3_5ForCausalLMMTP",
    "Qwen3_5MoeForConditionalGeneration": "Qwen3_5ForCausalLMMTP",
    "Step3p5ForCausalLM": "Step3p5MTP",
}  # fmt: skip


def problem(method: str, classes: Iterable[str], facts: VersionFacts) -> str | None:
    """Why this version cannot draft by a method for a model; None if it can, or it is not known."""
    if facts.rows("flag") and not facts.has("flag", OPTION):
        return f"which SGLang {facts.version} does not have"
    known = [name for name in classes if facts.has("architecture", name)]
    if method not in ("mtp", _ALGORITHMS["mtp"]) or not known:
        return None
    drafting = [one for name in known for one in _drafting(name)]
    if any(facts.has("architecture", name) for name in drafting):
        return None
    return f"SGLang {facts.version} has no drafting class for {known[0]}"


def _drafting(name: str) -> tuple[str, ...]:
    other = _OF_OTHER_NAME.get(name)
    return (other,) if other else (f"{name}NextN", f"{name}MTP")


def options(wanted: Speculation) -> tuple[OptionPair, ...]:
    """The options of a recommended method: one chain of drafted tokens, and the model's own."""
    if wanted.method == "ngram":
        drafted = str(wanted.tokens)
        return ((OPTION, "NGRAM"), ("speculative-num-draft-tokens", drafted))
    draft = (("speculative-draft-model-path", wanted.draft),) if wanted.draft else ()
    return (
        (OPTION, _ALGORITHMS[wanted.method]), *draft,
        ("speculative-num-steps", str(wanted.tokens)), ("speculative-eagle-topk", "1"),
        ("speculative-num-draft-tokens", str(wanted.tokens + 1)),
    )  # fmt: skip
