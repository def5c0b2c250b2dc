"""The activation peak that vLLM profiles at start.

Two moments compete: the widest layer of a forward pass over ``max_num_batched_tokens`` tokens, and
sampling for ``max_num_seqs`` sequences over the whole vocabulary while the last hidden state is
alive. Experts use a workspace that newer versions keep, so that it adds to both. The parts are
tensor shapes of the code; only ``_UNNAMED_BYTES`` is fitted (0.045 GiB on 0.17 to 0.19 logs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.core.units import GIB, MIB
from modelscan.engines.vllm import vision_tower

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, Layer
    from modelscan.engines.vllm.settings import VllmSettings
    from modelscan.engines.vllm.versions import VllmVersion

_UNNAMED_BYTES = round(0.045 * GIB)
_FORWARD_UNNAMED_BYTES = 16 * MIB  # CodeLlama-7b, granite-3.1-8b: formula + 0.015 GiB
_PIXELS_BYTES = 100 * MIB  # dummy images of the profile: 27 MiB (Pixtral) to 147 MiB (Gemma-3)
# Sparse attention (code: VLLM_SPARSE_INDEXER_MAX_LOGITS_MB; flashmla_sparse.py and indexer.py,
# get_prefill_workspace_size and get_max_prefill_buffer_size): contexts that its buffers hold.
_INDEXER_LOGITS_BYTES = 512 * MIB
_SPARSE_CONTEXTS, _INDEXER_CONTEXTS = 5, 40
_KERNELS_WITHOUT_WORKSPACE = ("MXFP4",)  # gpt-oss logs: no workspace term


def activation_bytes(
    architecture: Architecture,
    layers: Sequence[Layer],
    settings: VllmSettings,
    facts: VllmVersion,
    *,
    last_stage: bool,
) -> int:
    """Peak bytes on one GPU; ``last_stage`` samples, the others only run their layers."""
    workspace = max(
        _workspace_bytes(architecture, layers, settings),
        _indexer_keys_bytes(architecture, settings),
    )
    copies = _sparse_copies_bytes(architecture, settings)
    hidden = settings.max_num_batched_tokens * architecture.hidden * settings.dtype_bytes
    forward = _forward_bytes(architecture, layers, settings, facts) + workspace
    forward += _INDEXER_LOGITS_BYTES if architecture.extra.get("indexer_key_length") else 0
    if settings.pipeline_parallel > 1:
        forward += 2 * hidden  # hidden state and residual travel between stages
    sampling = 0
    if last_stage and not settings.pooling:
        workspace_kept = workspace if facts.moe_workspace_kept else 0
        sampling = (
            _sampling_bytes(architecture, settings, facts)
            + hidden
            + workspace_kept
            + _UNNAMED_BYTES
        )
    peak = max(forward, sampling) + copies
    tower = vision_tower.profile(architecture, settings)
    if tower is not None:
        return max(peak + tower.output_bytes, tower.peak_bytes)
    images = architecture.vision and settings.profiled_images
    return peak + (hidden + _PIXELS_BYTES if images else 0)


def _sampling_bytes(architecture: Architecture, settings: VllmSettings, facts: VllmVersion) -> int:
    """The logits with what the sampler makes of them; a soft cap divides them into a second copy
    (code: logits_processor.py).
    """
    sampler = facts.v2_sampler_bytes if settings.v2_runner else facts.sampler_bytes
    capped = settings.dtype_bytes if architecture.extra.get("logits_soft_cap") else 0
    per_logit = max(sampler, capped) + settings.dtype_bytes
    return round(settings.max_num_seqs * architecture.vocabulary * per_logit)


def _forward_bytes(
    architecture: Architecture,
    layers: Sequence[Layer],
    settings: VllmSettings,
    facts: VllmVersion,
) -> int:
    """Gate and up projections with their product and a few copies of the hidden state."""
    products = 3 if architecture.gated_feed_forward else 2
    feed_forward = max((layer.feed_forward for layer in layers), default=0)
    attention = max((_attention_width(layer) for layer in layers), default=0)
    width = max(products * feed_forward, attention) / settings.tensor_parallel
    values = width + facts.hidden_copies * architecture.hidden
    return (
        round(settings.max_num_batched_tokens * values * settings.dtype_bytes)
        + _FORWARD_UNNAMED_BYTES
    )


def _attention_width(layer: Layer) -> int:
    """Query, key and value together with the output: one layer's widest attention moment."""
    heads = layer.heads * layer.key_length
    return 2 * heads + layer.kv_heads * (layer.key_length + layer.value_length)


def _indexer_keys_bytes(architecture: Architecture, settings: VllmSettings) -> int:
    """The keys that the indexer of sparse attention gathers, in the experts' workspace."""
    length = int(architecture.extra.get("indexer_key_length", 0) or 0)
    scaled = length + 4 if length else 0
    return settings.max_model_len * _INDEXER_CONTEXTS * scaled


def _sparse_copies_bytes(architecture: Architecture, settings: VllmSettings) -> int:
    """16-bit copies of an 8-bit cache, which every layer refers to from the start on."""
    latent = architecture.latent
    if latent is None or not architecture.extra.get("indexer_key_length"):
        return 0
    values = latent.kv_lora_rank + latent.rope_length
    contexts = _SPARSE_CONTEXTS * settings.max_model_len if settings.packed_sparse_cache else 0
    return contexts * values * 2


def _workspace_bytes(
    architecture: Architecture, layers: Sequence[Layer], settings: VllmSettings
) -> int:
    """The fused experts' two buffers (code: fused_moe modular kernel, workspace13 and workspace2).

    tokens x active experts x max(2 x width, hidden) and tokens x active x max(width, hidden).
    """
    experts = architecture.experts
    if experts is None or not any(layer.moe for layer in layers):
        return 0
    if (architecture.quantization or "") in _KERNELS_WITHOUT_WORKSPACE:
        return 0
    width = experts.width // settings.tensor_parallel
    first = max((2 if experts.gated else 1) * width, architecture.hidden)
    second = max(width, architecture.hidden)
    rows = settings.max_num_batched_tokens * experts.active
    return rows * (first + second) * settings.dtype_bytes
