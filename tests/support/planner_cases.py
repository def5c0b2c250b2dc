"""Models and machines for the planner's tests, made from a few numbers each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.machine import simulated_machine
from modelscan.core.model import Variant
from modelscan.core.plan import Candidate, Decision, ReservedMemory, ResolvedModel
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.memory.shape import from_config
from modelscan.models.quantization_quality import quality
from modelscan.planner.decide import decide as planner_decide

DENSE_8B = {
    "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 4096,
    "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 12288, "vocab_size": 151936, "max_position_embeddings": 40960,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "hidden_act": "silu",
}  # fmt: skip
DENSE_32B = DENSE_8B | {
    "hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 64,
    "intermediate_size": 25600,
}  # fmt: skip
HEADS_40 = DENSE_8B | {
    "hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40,
    "intermediate_size": 17408,
}  # fmt: skip
DENSE_70B = DENSE_8B | {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8192,
    "num_hidden_layers": 80, "num_attention_heads": 64, "intermediate_size": 28672,
    "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip
EXPERTS_30B = {
    "model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 2048,
    "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128,
    "num_experts_per_tok": 8, "decoder_sparse_step": 1, "vocab_size": 151936,
    "max_position_embeddings": 262144, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "hidden_act": "silu",
}  # fmt: skip
LATENT_671B = {
    "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 7168,
    "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
    "moe_layer_freq": 1, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128, "v_head_dim": 128, "vocab_size": 129280, "hidden_act": "silu",
    "max_position_embeddings": 163840, "num_nextn_predict_layers": 1, "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
ENCODER = {
    "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384,
    "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536,
    "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2,
    "hidden_act": "gelu", "torch_dtype": "float32",
}  # fmt: skip

EVERY = ("BF16", "FP8", "INT8", "AWQ", "NVFP4", "Q8_0", "Q6_K", "Q4_K_M", "Q2_K")


def subject(
    config: dict[str, Any],
    quantizations: Iterable[str] = EVERY,
    *,
    name: str = "acme/model",
    task: str = "chat",
    original: str | None = None,
) -> ResolvedModel:
    """A ResolvedModel with these variants; names that GGUF knows become GGUF files."""
    candidates = []
    for quantization in quantizations:
        gguf = quantization.startswith(("Q", "IQ"))
        shape = from_config(
            config, quantization=quantization, format="gguf" if gguf else "safetensors"
        )
        variant = Variant(
            repo=f"{name}-{quantization}", format=shape.format, quantization=quantization,
            weight_bytes=shape.weights.total_bytes,
        )  # fmt: skip
        candidates.append(Candidate(variant, shape, quality(quantization, original)))
    return ResolvedModel(name, name, task, tuple(candidates))


def decide(
    model: ResolvedModel,
    inventory: Inventory,
    wishes: Workload,
    reserved: tuple[ReservedMemory, ...] = (),
    **options: Any,
) -> Decision:
    """The planner on hardware that has every engine."""
    return planner_decide(model, simulated_machine(inventory, reserved=reserved), wishes, **options)


def gpu(
    name: str, gib: float, capability: str | None, bandwidth: int = 1000, *, index: int = 0,
    free: float | None = None, vendor: str = "nvidia", target: str | None = None,
) -> Gpu:  # fmt: skip
    memory = int(gib * GIB)
    return Gpu(
        index=index, name=name, vendor=vendor, memory_bytes=memory,
        free_bytes=int((gib if free is None else free) * GIB), source="simulated",
        compute_capability=capability, gfx_target=target,
        memory_bandwidth_bytes_per_s=bandwidth * 10**9,
    )  # fmt: skip


def machine(*gpus: Gpu, host_gib: float = 64, host_free_gib: float | None = None) -> Inventory:
    """These devices, renumbered, in a host of that memory."""
    from dataclasses import replace

    free = host_gib - 4 if host_free_gib is None else host_free_gib
    host = Host(16, int(host_gib * GIB), int(free * GIB), memory_bandwidth_bytes_per_s=60 * 10**9)
    numbered = tuple(replace(device, index=index) for index, device in enumerate(gpus))
    return Inventory(numbered, host, source="simulated")


RTX_4090 = gpu("RTX 4090", 24, "8.9", 1008)
RTX_3090 = gpu("RTX 3090", 24, "8.6", 936)
RTX_3060 = gpu("RTX 3060", 12, "8.6", 360)
TESLA_V100 = gpu("V100", 32, "7.0", 900)
T4 = gpu("T4", 15, "7.5", 320)
P40 = gpu("P40", 24, "6.1", 346)
A100 = gpu("A100", 80, "8.0", 2039)
H100 = gpu("H100", 80, "9.0", 3350)
B200 = gpu("B200", 180, "10.0", 7700)
MI300X = gpu("MI300X", 192, None, 5300, vendor="amd", target="gfx942")
BARE = machine()
