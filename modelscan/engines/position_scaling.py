"""Contexts beyond the trained length: the YaRN setting that a model's card documents.

Engines refuse or cap a longer context without it: vLLM's ``max_model_len`` check, SGLang's
``context_length`` check, llama-server's slots (ggml-org/llama.cpp#28030 lifts them with YaRN).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture

# Families whose model cards document YaRN, by their type without separators and "text", with the
# largest factor: Qwen2.5, Qwen3, Qwen3-Next, Qwen3-VL, Qwen3.5, GLM-4-0414, Ling and Ring lite.
_FACTORS: Mapping[str, int] = {
    "qwen2": 4, "qwen2moe": 4, "qwen3": 4, "qwen3moe": 4, "qwen3next": 4, "qwen3vl": 3,
    "qwen3vlmoe": 3, "qwen35": 4, "qwen35moe": 4, "glm4": 4, "bailingmoe": 4,
}  # fmt: skip
# Qwen3's config.json counts 8,192 tokens of output to its 32,768.
_ORIGINAL = {40_960: 32_768}
_PLAIN = ("", "default", "mrope")


class PositionScaling(NamedTuple):
    """YaRN with ``factor`` over ``original_tokens``.

    ``stated``: the rope parameters of config.json; ``nested``: they belong to its ``text_config``.
    """

    factor: int
    original_tokens: int
    stated: Mapping[str, object]
    nested: bool

    def parameters(self, *, theta: bool = True) -> dict[str, object]:
        """``rope_parameters`` of the override; without the base where ``theta`` is False."""
        kept = {k: v for k, v in self.stated.items() if theta or k != "rope_theta"}
        return {
            **{k: v for k, v in kept.items() if k != "type"},
            "rope_type": "yarn",
            "factor": float(self.factor),
            "original_max_position_embeddings": self.original_tokens,
        }

    def override(self, name: str, *, theta: bool = True) -> str:
        """The override of config.json under ``name`` as compact JSON."""
        body: dict[str, object] = {
            name: self.parameters(theta=theta),
            # vLLM from 0.30 on and SGLang do not multiply the length by the factor.
            "max_position_embeddings": self.factor * self.original_tokens,
        }
        return json.dumps({"text_config": body} if self.nested else body, separators=(",", ":"))


def position_scaling(architecture: Architecture, context_tokens: int) -> PositionScaling | None:
    """The documented scaling for a context beyond the trained length; None if there is none."""
    trained, extra = architecture.context_tokens, architecture.extra
    stated = json.loads(str(extra.get("rope_parameters", "{}")))
    kind = str(stated.get("rope_type") or stated.get("type") or "")
    most = _FACTORS.get(architecture.name.removesuffix("_text").replace("_", ""))
    if not trained or most is None or kind not in _PLAIN:
        return None
    original = _ORIGINAL.get(trained, trained)
    factor = math.ceil(context_tokens / original)
    if factor > most:
        return None
    return PositionScaling(factor, original, stated, bool(extra.get("text_config")))
