"""Ollama: llama.cpp's bytes with Ollama's defaults by version and GPU memory."""

from __future__ import annotations

import pytest

from modelscan.core.architecture import ModelShape
from modelscan.core.errors import NotDeployableError
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB, MIB
from modelscan.core.workload import Workload
from modelscan.engines.llamacpp import memory as llamacpp
from modelscan.engines.ollama import memory as ollama
from modelscan.memory.shape import from_config

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture(scope="module")
def shape() -> ModelShape:
    return from_config(LLAMA_8B, quantization="Q4_0", format="gguf")


def cards(gib: float, count: int = 1) -> Inventory:
    gpus = tuple(
        Gpu(i, "card", "nvidia", round(gib * GIB), round(gib * GIB), "simulated")
        for i in range(count)
    )
    return Inventory(gpus, Host(8, 64 * GIB, 60 * GIB))


@pytest.mark.parametrize(
    ("version", "gib", "tokens", "slots"),
    [
        ("0.1.48", 16, 2048, 1),
        ("0.3.6", 16, 2048, 4),
        ("0.6.8", 16, 4096, 4),
        ("0.12.0", 16, 4096, 1),
        ("0.20.0", 16, 4096, 1),
        ("0.20.0", 24, 8192, 1),  # 32k by memory, 8k by training
        (None, 80, 8192, 1),
    ],
)
def test_defaults_by_version_and_memory(
    shape: ModelShape, version: str | None, gib: float, tokens: int, slots: int
) -> None:
    found = ollama.estimate(shape, Workload(), cards(gib), version=version)
    assert found.backend == "ollama"
    assert found.parallel == slots
    assert found.context_tokens == tokens
    assert f"{tokens:,} tokens x {slots} slots" in found.assumptions[-1]


def test_the_cache_of_an_old_log(shape: ModelShape) -> None:
    """0.1.48, 2048 tokens: KV 256 MiB; 0.3 with four slots: 1 GiB."""
    old = ollama.estimate(shape, Workload(), None, version="0.1.48")
    four = ollama.estimate(shape, Workload(), None, version="0.3.6")
    assert old.parts.kv_cache_bytes == 256 * MIB
    assert four.parts.kv_cache_bytes == GIB


def test_what_is_asked_for_wins(shape: ModelShape) -> None:
    options = (("num-ctx", "1024"), ("ollama-num-parallel", "2"), ("ollama-kv-cache-type", "q8_0"))
    found = ollama.estimate(shape, Workload(parameters=options), None)
    assert (found.context_tokens, found.parallel) == (1024, 2)
    assert found.parts.kv_cache_bytes == 2048 * 32 * 2 * 8 * 128 * 34 // 32


def test_it_is_llamacpp_underneath(shape: ModelShape) -> None:
    wanted = Workload(context_tokens=4096, parallel=1)
    ours = ollama.estimate(shape, wanted, cards(24))
    theirs = llamacpp.estimate(shape, Workload(context_tokens=4096, parallel=1, ubatch=512),
                               cards(24))  # fmt: skip
    assert ours.parts == theirs.parts


def test_safetensors_are_refused() -> None:
    with pytest.raises(NotDeployableError):
        ollama.estimate(from_config(LLAMA_8B), Workload(), None)


def test_keys_and_values_share_a_type(shape: ModelShape) -> None:
    two = Workload(kv_cache_k="q8_0", kv_cache_v="f16")
    with pytest.raises(NotDeployableError, match="one type, not in q8_0 and f16"):
        ollama.estimate(shape, two, None)
    one = ollama.estimate(shape, Workload(kv_cache_k="q8_0"), None)
    same = ollama.estimate(shape, Workload(kv_cache_k="q8_0", kv_cache_v="q8_0"), None)
    assert one.parts == same.parts


def test_a_file_from_before_latent_caches_is_named() -> None:
    latent = LLAMA_8B | {
        "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "head_dim": 128,
        "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
        "num_attention_heads": 16, "num_hidden_layers": 27,
    }  # fmt: skip
    model = from_config(latent, quantization="Q5_K_M", format="gguf")
    note = ollama.estimate(model, Workload(context_tokens=4096), cards(24)).warnings[-1]
    assert "caches every head: 1.05 GiB instead of 122 MiB" in note
    plain = from_config(LLAMA_8B, quantization="Q5_K_M", format="gguf")
    assert ollama.estimate(plain, Workload(), cards(24)).warnings == ()
