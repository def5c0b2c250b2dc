"""Over how many GPUs a model can be split, by tensors or layers, and the reasons if not.

vLLM (code: model_executor/layers, config/model.py) and SGLang (server_args.py, linear layers)
divide attention by heads, feed-forward and vocabulary by columns. KV heads are copied if there are
fewer of them than GPUs, which requires a whole number of copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelscan.core.architecture import Architecture, Attention
from modelscan.memory.quantized_split import whole_blocks, whole_groups
from modelscan.memory.split_rules import EVERYTHING_DIVIDED, SplitRules, dense_widths

_VOCABULARY_PAD = 64  # both engines pad the embedding to a multiple of this


@dataclass(frozen=True, slots=True)
class TensorParallel:
    """``allowed`` degrees in ascending order; ``rejected`` degrees, each with the reason."""

    allowed: tuple[int, ...]
    rejected: tuple[tuple[int, str], ...]


def degrees(architecture: Architecture, gpu_count: int) -> TensorParallel:
    """Every tensor-parallel degree from 1 to ``gpu_count``, allowed or rejected with its reason."""
    allowed: list[int] = []
    rejected: list[tuple[int, str]] = []
    for degree in range(1, max(1, gpu_count) + 1):
        reason = reject_reason(architecture, degree)
        if reason:
            rejected.append((degree, reason))
        else:
            allowed.append(degree)
    return TensorParallel(tuple(allowed), tuple(rejected))


def allowed(architecture: Architecture, gpu_count: int) -> tuple[int, ...]:
    """The tensor-parallel degrees that work on up to ``gpu_count`` GPUs."""
    return degrees(architecture, gpu_count).allowed


def layer_split_reason(architecture: Architecture, gpu_count: int) -> str | None:
    """Why whole layers cannot be distributed over ``gpu_count`` GPUs; None if they can."""
    layers = len(architecture.layers)
    if gpu_count <= max(1, layers):
        return None
    return f"{layers} layers cannot be spread over {gpu_count} GPUs"


def reject_reason(
    architecture: Architecture, degree: int, rules: SplitRules = EVERYTHING_DIVIDED
) -> str | None:
    """Why the tensor-parallel ``degree`` is not possible; None if it is possible."""
    if degree <= 1:
        return None
    for rule in _RULES:
        reason = rule(architecture, degree, rules)
        if reason:
            return reason
    return None


def _heads(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    for heads in sorted({layer.heads for layer in architecture.layers if layer.heads}):
        if heads % degree:
            return f"{heads} attention heads do not divide by {degree}"
    return None


def _kv_heads(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    grouped = {
        layer.kv_heads
        for layer in architecture.layers
        if layer.kv_heads and layer.attention is not Attention.MLA
    }
    for heads in sorted(grouped):
        if heads % degree and degree % heads:
            return f"{heads} key-value heads can neither be divided by nor copied to {degree}"
    return None


def _states(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    for layer in architecture.layers:
        state = layer.state
        heads = state.heads if state else None
        if heads and heads % degree:
            return f"{heads} state heads do not divide by {degree}"
    return None


def _vocabulary(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    padded = -(-architecture.vocabulary // _VOCABULARY_PAD) * _VOCABULARY_PAD
    if padded % degree:
        return f"a vocabulary of {padded} (padded) does not divide by {degree}"
    return None


def _feed_forward(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    widths = dense_widths(architecture)
    experts = architecture.experts
    if experts and not rules.whole_experts:
        widths = widths | {experts.width}
    for width in sorted(widths):
        if width % degree:
            return f"a feed-forward width of {width} does not divide by {degree}"
    return None


def _vision(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    heads = architecture.vision_heads
    if heads and heads % degree and not rules.whole_vision:
        return f"{heads} vision heads do not divide by {degree}"
    return None


_RULES: tuple[Callable[[Architecture, int, SplitRules], str | None], ...] = (
    _heads, _kv_heads, _states, _vocabulary, _feed_forward, whole_blocks, whole_groups, _vision,
)  # fmt: skip
