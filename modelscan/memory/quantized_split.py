"""Tensor parallelism of quantized weights: a rank's share must be whole blocks or groups.

vLLM (code: quantization/utils/fp8_utils.py, marlin_utils.py, auto_awq.py) and SGLang check it when
they load the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from modelscan.core.architecture import Architecture, Attention
from modelscan.formats.quantization import GROUP_SIZE
from modelscan.memory.split_rules import SplitRules, dense_widths

_BLOCK_QUANTIZATION = 128  # FP8 blocks are 128 x 128
_SMALLEST_BLOCK = 32  # of experts
_GROUPED = ("AWQ", "GPTQ-INT4", "GPTQ-INT8", "GPTQ-INT2", "GPTQ-INT3", "INT4", "W4A8")


def whole_blocks(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    """FP8 blocks: a rank's share of every matrix must be whole blocks."""
    block = _block(architecture)
    if block is None:
        return None
    reason = _whole_units(
        (*dense_widths(architecture), *_head_widths(architecture)), degree, block,
        f"the quantization's {block}-wide blocks",
    )  # fmt: skip
    experts = architecture.experts
    if reason or experts is None or rules.whole_experts:
        return reason
    part = experts.width // degree
    if rules.refined_blocks and math.gcd(block, part, architecture.hidden) >= _SMALLEST_BLOCK:
        return None
    return _whole_units((experts.width,), degree, block, f"the quantization's {block}-wide blocks")


def _block(architecture: Architecture) -> int | None:
    stored = architecture.checkpoint.quantization
    if stored is not None and stored.block:
        return stored.block
    if architecture.extra.get("weight_block_size") or architecture.quantization == "FP8-BLOCK":
        return _BLOCK_QUANTIZATION
    return None


def whole_groups(architecture: Architecture, degree: int, rules: SplitRules) -> str | None:
    """Integer weights: the inputs of a rank must be whole groups, which share a scale.

    Kernels for experts use smaller groups where the width requires it.
    """
    group = _group(architecture)
    if group is None:
        return None
    widths = (*dense_widths(architecture), *_head_widths(architecture))
    words = f"the quantization's groups of {group}"
    reason = _whole_units(widths, degree, group, words)
    experts = architecture.experts
    if reason or experts is None or rules.whole_experts:
        return reason
    if math.gcd(group, experts.width // degree) >= min(group, _SMALLEST_BLOCK):
        return None
    return _whole_units((experts.width,), degree, group, words)


def _group(architecture: Architecture) -> int | None:
    """The group size of AWQ, GPTQ and other integer weights; GPTQ in activation order has none.

    A checkpoint of which only the format is known has the usual groups of 128.
    """
    if architecture.quantization not in _GROUPED:
        return None
    stored = architecture.checkpoint.quantization
    if stored is None:
        return GROUP_SIZE
    return None if stored.reordered else stored.group


def _head_widths(architecture: Architecture) -> set[int]:
    """The inputs of the attention's output projections."""
    return {
        layer.heads * layer.value_length
        for layer in architecture.layers
        if layer.heads and layer.attention is not Attention.MLA
    }


def _whole_units(widths: Iterable[int], degree: int, unit: int, words: str) -> str | None:
    for width in sorted(widths):
        if (width // degree) % unit:
            return f"{width} / {degree} = {width // degree} is no multiple of {words}"
    return None
