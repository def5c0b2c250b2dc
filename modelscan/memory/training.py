"""Bytes on one GPU for fine-tuning and for quantization with calibration data.

Weights, gradients and optimizer states follow from the number of values (Rajbhandari et al., ZeRO,
arXiv:1910.02054, section 3.1; 4-bit weights: Dettmers et al., QLoRA, arXiv:2305.14314, section 3:
0.127 bits per value of quantization constants). Activations assume gradient checkpointing: the
input of every layer is kept, and one layer at a time is computed again (Chen et al.,
arXiv:1604.06174).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelscan.core.units import GIB
from modelscan.memory.lora import slots_bytes

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, Layer, ModelShape

TrainingMethod = Literal["lora", "qlora", "full"]
CONTEXT_BYTES = 3 * GIB // 4  # CUDA context, cuBLAS and cuDNN workspaces of a PyTorch process
_FRAGMENTATION = 0.05
_NF4_BITS = 4.127
_HALF, _SINGLE = 2, 4


@dataclass(frozen=True, slots=True)
class TrainingCase:
    """What is trained and how. ``optimizer_bytes``: states per trained value (AdamW in 32 bits: 8,
    in 8 bits: 2); ``logit_tokens``: positions whose logits are in memory at once, None: all.
    """

    method: TrainingMethod
    rank: int
    sequence_tokens: int
    batch: int
    optimizer_bytes: int
    logit_tokens: int | None = None


def adapter_values(architecture: Architecture, rank: int) -> int:
    """Values of a LoRA adapter of that rank on every projection of attention and feed-forward."""
    layers = architecture.layer_counts
    return slots_bytes(architecture, layers, rank, 1, experts=False) // _HALF


def training_parts(shape: ModelShape, case: TrainingCase) -> dict[str, int]:
    """Bytes by purpose: weights, adapter, gradients, optimizer, activations, logits, context."""
    architecture = shape.architecture
    parameters = shape.weights.parameters or 0
    lora = 0 if case.method == "full" else adapter_values(architecture, case.rank)
    trained = parameters if case.method == "full" else lora
    width = _HALF if case.method == "full" else _SINGLE  # PEFT keeps adapters in 32 bits
    tokens = case.sequence_tokens * case.batch
    logits = min(tokens, case.logit_tokens or tokens) * architecture.vocabulary
    parts = {
        "weights": weight_bytes(shape, case.method),
        "adapter": lora * _SINGLE,
        "gradients": trained * width,
        "optimizer": trained * case.optimizer_bytes,
        "activations": _kept(architecture, tokens) + 2 * layer_activations(architecture, tokens),
        "logits": logits * (_HALF + 2 * _SINGLE),  # 16 bits, a copy in 32 and its gradient
        "context": CONTEXT_BYTES,
    }
    return {**parts, "fragmentation": round(sum(parts.values()) * _FRAGMENTATION)}


def weight_bytes(shape: ModelShape, method: TrainingMethod) -> int:
    """Bytes of the loaded weights: 16 bits, for QLoRA 4 bits but for embeddings and head."""
    parameters = shape.weights.parameters or 0
    if method != "qlora":
        return parameters * _HALF
    ends = min(parameters, _end_values(shape.architecture))
    return ends * _HALF + round((parameters - ends) * _NF4_BITS / 8)


def calibration_parts(shape: ModelShape, tokens: int, *, hessians: bool) -> dict[str, int]:
    """Bytes on the GPU while one layer at a time is calibrated with sequences of ``tokens``.

    ``hessians``: GPTQ's matrix of (inputs x inputs) values in 32 bits for each linear module.
    """
    architecture = shape.architecture
    values = max((_layer_values(architecture, layer) for layer in architecture.layers), default=0)
    matrices = max((_hessian_values(architecture, one) for one in architecture.layers), default=0)
    parts = {
        "weights": values * _HALF,
        "hessians": matrices * _SINGLE if hessians else 0,
        "activations": 2 * layer_activations(architecture, tokens),
        "context": CONTEXT_BYTES,
    }
    return {**parts, "fragmentation": round(sum(parts.values()) * _FRAGMENTATION)}


def layer_activations(architecture: Architecture, tokens: int) -> int:
    """Bytes of one layer's intermediate values in 16 bits, for the widest layer."""
    widest = max(
        (_activation_values(architecture, layer) for layer in architecture.layers), default=0
    )
    return tokens * widest * _HALF


def _kept(architecture: Architecture, tokens: int) -> int:
    return tokens * architecture.hidden * len(architecture.layers) * _HALF


def _activation_values(architecture: Architecture, layer: Layer) -> int:
    """Values per token: norms and residuals, queries, keys, values and their result, and the
    feed-forward's gate, up, product and input.
    """
    query, keys = _attention_widths(layer)
    return 4 * architecture.hidden + 2 * query + keys + 4 * _active_width(architecture, layer)


def _active_width(architecture: Architecture, layer: Layer) -> int:
    experts = architecture.experts if layer.moe else None
    width = experts.active * experts.width + experts.shared_width if experts else 0
    return layer.feed_forward + width


def _attention_widths(layer: Layer) -> tuple[int, int]:
    return layer.heads * layer.key_length, layer.kv_heads * (layer.key_length + layer.value_length)


def _layer_values(architecture: Architecture, layer: Layer) -> int:
    query, keys = _attention_widths(layer)
    matrices = 3 if architecture.gated_feed_forward else 2
    width = layer.feed_forward
    if layer.moe and architecture.experts:
        width += architecture.experts.total * architecture.experts.width
    return architecture.hidden * (2 * query + keys + matrices * width)


def _hessian_values(architecture: Architecture, layer: Layer) -> int:
    """Values of one layer's matrices: one (inputs x inputs) matrix per linear module."""
    hidden = architecture.hidden
    query, _ = _attention_widths(layer)
    count, width = 1, layer.feed_forward
    if layer.moe and architecture.experts:
        count, width = architecture.experts.total, architecture.experts.width
    gates = 2 if architecture.gated_feed_forward else 1
    attention = 3 * hidden**2 + query**2 if query else 0
    return attention + count * (gates * hidden**2 + width**2)


def _end_values(architecture: Architecture) -> int:
    matrices = 1 if architecture.tied_embeddings else 2
    return matrices * architecture.vocabulary * architecture.hidden
