"""Bytes of a safetensors checkpoint: from its files or headers if known, else from its format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.architecture import Architecture, Weights
from modelscan.memory.tensor_table import NamedShape, tensor_table
from modelscan.memory.weight_formats import WeightFormat
from modelscan.memory.weights_gguf import is_expert

# Element sizes of safetensors dtypes, in bits (packed formats count their storage elements).
DTYPE_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "BF16": 16, "F16": 16,
    "I16": 16, "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8,
    "F4": 4, "FP4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_MODULES = (
    ("attn_qkv", ("self_attn.qkv_proj", "linear_attn.in_proj_qkv")),
    ("attn_q_a", ("self_attn.q_a_proj",)),
    ("attn_q_b", ("self_attn.q_b_proj",)),
    ("attn_kv_a_mqa", ("self_attn.kv_a_proj_with_mqa",)),
    ("attn_k_b", ("self_attn.kv_b_proj",)),
    ("attn_v_b", ("self_attn.kv_b_proj",)),
    ("attn_output", ("self_attn.o_proj", "attn.o_proj", "mixer.o_proj")),
    ("attn_gate", ("linear_attn.in_proj_z",)),
    ("attn_q", ("self_attn.q_proj", "attn.q_proj", "mixer.q_proj")),
    ("attn_k", ("self_attn.k_proj", "attn.k_proj", "mixer.k_proj")),
    ("attn_v", ("self_attn.v_proj", "attn.v_proj", "mixer.v_proj")),
    ("indexer", ("self_attn.indexer.wq_b",)),
    ("ssm_in", ("mixer.in_proj", "mamba.in_proj")),
    ("ssm_out", ("linear_attn.out_proj", "mixer.out_proj", "self_attn.o_proj")),
    ("ssm_", ("linear_attn.in_proj_ba", "self_attn.b_proj")),
    ("ffn_gate_exps", ("mlp.experts.0.gate_proj", "block_sparse_moe.experts.0.w1",
                       "ffn.experts.0.w1", "experts.0.gate_proj", "mlp.experts")),
    ("ffn_up_exps", ("mlp.experts.0.up_proj", "block_sparse_moe.experts.0.w3", "ffn.experts.0.w3",
                     "experts.0.up_proj", "mixer.experts.0.up_proj", "mlp.experts")),
    ("ffn_down_exps", ("mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w2",
                       "ffn.experts.0.w2", "experts.0.down_proj", "mixer.experts.0.down_proj",
                       "mlp.experts")),
    ("ffn_gate_shexp", ("mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj",
                        "block_sparse_moe.shared_experts.gate_proj",
                        "ffn.shared_experts.w1")),
    ("ffn_up_shexp", ("mlp.shared_experts.up_proj", "mlp.shared_expert.up_proj",
                      "block_sparse_moe.shared_experts.up_proj", "mixer.shared_experts.up_proj",
                      "ffn.shared_experts.w3")),
    ("ffn_down_shexp", ("mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj",
                        "block_sparse_moe.shared_experts.down_proj",
                        "mixer.shared_experts.down_proj", "ffn.shared_experts.w2")),
    ("ffn_latent", ("mixer.fc1_latent_proj",)),
    ("ffn_gate", ("mlp.gate_proj",)),
    ("ffn_up", ("mlp.up_proj", "mixer.up_proj")),
    ("ffn_down", ("mlp.down_proj", "mixer.down_proj")),
    ("nextn", ("eh_proj",)),
)  # fmt: skip
_NEVER = re.compile(
    "ffn_gate_inp|nextn[.]embed_tokens|nextn[.]shared_head|ssm_conv1d|shortconv[.]conv|token_embd"
    "|position_embd|token_types|per_layer|_norm|ssm_a|ssm_d|ssm_dt|inp_gate"
)
EMBEDDINGS = ("token_embd.weight", "per_layer_token_embd.weight")  # MLX quantizes them as well
_TAIL = re.compile(r"^blk\.(\d+)\.(.*)$")


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Facts about the files, each None if unknown: bytes, elements per dtype, parameters."""

    weight_bytes: int | None = None
    dtypes: Mapping[str, int] | None = None
    parameters: int | None = None


def from_architecture(
    architecture: Architecture, form: WeightFormat, vision_parameters: int, files: FileCounts
) -> Weights:
    """Exact bytes from file size or dtype counts, else parameters x bits per weight by matrix.

    A parameter total is used to scale only if it is plausible: totals of packed 4-bit files
    count storage elements, which are fewer.
    """
    table = tensor_table(architecture, mtp=True)
    sizes = {name: _bytes(name, shape, form) for name, shape in table}
    counted = sum(_values(shape) for _, shape in table)
    vision = round(vision_parameters * form.dtype_bits / 8)
    computed = sum(sizes.values()) + vision
    total, basis = _total(architecture, form, files, computed, counted + vision_parameters)
    scale = total / computed if computed else 1.0
    embedding = sizes.get("token_embd.weight", 0)
    output = sizes.get("output.weight", 0)
    blocks = _per_layer(table, sizes, len(architecture.layers))
    stated = files.parameters if _plausible(files, counted + vision_parameters) else None
    inner = _inner_scale(total, computed, embedding + output)
    return Weights(
        total_bytes=total,
        basis=basis,
        parameters=stated or counted + vision_parameters,
        active_parameters=_active(table, architecture),
        embedding_bytes=round(embedding),
        output_bytes=round(output),
        expert_bytes=round(sum(v for n, v in sizes.items() if is_expert(n)) * inner),
        layer_bytes=tuple(round(value * inner) for value in blocks),
        vision_bytes=round(vision * (scale if basis == "range" else 1.0)),
        low_bytes=round(_low_share(form) * total) if basis == "range" else None,
        high_bytes=round(1.1 * total) if basis == "range" else None,
    )


def dtype_bytes(dtypes: Mapping[str, int]) -> int | None:
    """Bytes of a repository from its element counts per dtype; None if a dtype is unknown."""
    total = 0
    for name, count in dtypes.items():
        bits = DTYPE_BITS.get(name.upper())
        if bits is None:
            return None
        total += count * bits // 8
    return total


def _total(
    architecture: Architecture, form: WeightFormat, files: FileCounts, computed: float, counted: int
) -> tuple[int, str]:
    exact = files.weight_bytes or (dtype_bytes(files.dtypes) if files.dtypes else None)
    if exact:
        return _without_copy(architecture, form, exact, computed), "exact"
    if _plausible(files, counted) and files.parameters and not form.unread:
        # The kind of attention does not change this number.
        return round(computed * files.parameters / counted), "computed"
    certain = architecture.known and form.known and not form.unread
    return round(computed), "computed" if certain else "range"


def _low_share(form: WeightFormat) -> float:
    """The lower bound as a share: 0.9; weights of an unknown format may have only four bits."""
    return 0.9 if form.known else 4 / form.dtype_bits


def _without_copy(
    architecture: Architecture, form: WeightFormat, exact: int, computed: float
) -> int:
    """The size without the second copy of tied embeddings, which engines do not load."""
    copy = round(architecture.hidden * architecture.vocabulary * form.dtype_bits / 8)
    stored_twice = architecture.tied_embeddings and exact - computed > 0.9 * copy
    return exact - copy if stored_twice else exact


def _plausible(files: FileCounts, counted: int) -> bool:
    """Whether the total is within 8 %: neither packed elements nor a tied matrix counted twice."""
    return bool(files.parameters and counted and 0.92 < files.parameters / counted < 1.08)


def _inner_scale(total: int, computed: float, ends: float) -> float:
    inside = computed - ends
    return (total - ends) / inside if inside > 0 and total > ends else 1.0


def _values(shape: tuple[int, ...]) -> int:
    count = 1
    for dimension in shape:
        count *= dimension
    return count


def _bytes(name: str, shape: tuple[int, ...], form: WeightFormat) -> float:
    bits = form.dtype_bits
    never = _NEVER.search(name)
    if len(shape) > 1 and (not never or (form.modules.embedding and name in EMBEDDINGS)):
        modules = _modules(name) if form.named_modules else ()
        bits = form.bits_of(modules, is_expert(name))
    return _values(shape) * bits / 8


def _modules(name: str) -> tuple[str, ...]:
    """The possible module paths of a matrix in the checkpoint."""
    if name == "output.weight":
        return ("lm_head",)
    if name == "token_embd.weight":
        return ("embed_tokens",)
    match = _TAIL.match(name)
    if not match:
        return (name.removesuffix(".weight"),)
    layer, rest = match.groups()
    for mark, paths in _MODULES:
        if rest.startswith(mark):
            return tuple(f"layers.{layer}.{path}" for path in paths)
    return (f"layers.{layer}.{rest.removesuffix('.weight')}",)


def _per_layer(table: list[NamedShape], sizes: Mapping[str, float], count: int) -> list[float]:
    layers = [0.0] * count
    for name, _ in table:
        match = _TAIL.match(name)
        if match and int(match.group(1)) < count:
            layers[int(match.group(1))] += sizes[name]
    return layers


def _active(table: list[NamedShape], architecture: Architecture) -> int:
    """Parameters of the trunk used per token: active experts, without embedding look-ups."""
    experts, count = architecture.experts, len(architecture.layers)
    share = experts.active / experts.total if experts else 1.0
    total = 0.0
    for name, shape in table:
        match = _TAIL.match(name)
        if match and int(match.group(1)) >= count:
            continue
        looked_up = name == "token_embd.weight" and not architecture.tied_embeddings
        if looked_up or name.startswith("per_layer_token_embd"):
            continue
        total += _values(shape) * (share if is_expert(name) else 1.0)
    return round(total)


def config_quantization(config: Mapping[str, Any]) -> Any:
    """The quantization_config of the config or its language model, or MLX's ``quantization``."""
    parts = (config, *(config.get(k) for k in ("text_config", "llm_config", "language_config")))
    for part in parts:
        for name in ("quantization_config", "compression_config", "quantization"):
            table = part.get(name) if isinstance(part, Mapping) else None
            if isinstance(table, Mapping) and table:
                return table
    return None
