"""The names under which vLLM's registry lists a class: it knows a model by several suffixes.

Source: ``_SUFFIX_TO_DEFAULTS`` and ``_normalize_arch`` of ``model_executor/models/registry.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

_SUFFIXES = (
    "ForCausalLM",
    "ForConditionalGeneration", "ChatModel", "LMHeadModel", "ForTextEncoding", "EmbeddingModel",
    "ForSequenceClassification", "ForTokenClassification", "ForAudioClassification",
    "ForImageClassification", "ForVideoClassification", "ClassificationModel", "ForRewardModeling",
    "RewardModel", "Model",
)  # fmt: skip


def listed_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes, then those that vLLM converts for the same task: the first suffix that a name
    has is replaced by each of them.
    """
    return (*classes, *_converted(classes))


def _converted(classes: tuple[str, ...]) -> Iterator[str]:
    for name in classes:
        suffix = next((one for one in _SUFFIXES if name.endswith(one)), None)
        if suffix:
            yield from (name.removesuffix(suffix) + other for other in _SUFFIXES)
