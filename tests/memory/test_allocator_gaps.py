"""Rounding of torch's allocator: what Qwen2.5-7B's logs have beyond its tensors."""

from __future__ import annotations

import pytest

from modelscan.core.architecture import Architecture, Attention, Layer
from modelscan.core.units import MIB
from modelscan.memory.allocator_gaps import gap, gaps_bytes

LAYER = Layer(Attention.FULL, 28, 4, 128, 128, feed_forward=18944)


def qwen(quantization: str | None = None) -> Architecture:
    return Architecture("qwen2", (LAYER,) * 28, 3584, 152064, 32768, quantization=quantization)


@pytest.mark.parametrize(
    ("size", "rest"),
    [(259 * MIB, MIB), (260 * MIB, 0), (24.5 * MIB, 0), (31.5 * MIB, MIB / 2), (9.5 * MIB, 0),
     (11 * MIB - 1, 0), (11 * MIB, MIB)],
)  # fmt: skip
def test_a_rest_of_at_most_one_mib_stays_with_its_tensor(size: float, rest: float) -> None:
    assert gap(round(size)) == rest


@pytest.mark.parametrize(
    ("quantization", "tensor", "mib"),
    [(None, 1, 2.0), (None, 2, 0.75), (None, 4, 0.0), ("W8A8", 1, 0.75), ("AWQ", 1, 0.0)],
)
def test_what_the_logs_of_vllm_have(quantization: str | None, tensor: int, mib: float) -> None:
    """14.25, 7.12, 3.55 GiB in BF16 on 1, 2, 4 GPUs; 8.14 in 8 bits: 56, 21, 0 and 21 MiB."""
    architecture = qwen(quantization)
    assert gaps_bytes(architecture, architecture.layer_counts, tensor) == 28 * mib * MIB
