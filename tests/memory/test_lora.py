"""Adapters' matrices of serving engines, against the shapes in their code."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.workload import Workload
from modelscan.engines.sglang import memory as sglang
from modelscan.engines.vllm import memory as vllm
from modelscan.memory.shape import from_config


class Engine(Protocol):
    """A module with an estimate of pools."""

    def estimate(
        self, shape: ModelShape, workload: Workload, inventory: None, *, version: str
    ) -> Estimate: ...


HIDDEN, HEADS, KV, LENGTH, WIDTH, LAYERS, EXPERTS = 2048, 16, 4, 128, 768, 2, 8


def config(**more: object) -> dict[str, object]:
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV,
        "head_dim": LENGTH, "intermediate_size": WIDTH, "vocab_size": 1000, "hidden_act": "silu",
        "max_position_embeddings": 4096, **more,
    }  # fmt: skip


def projections(tensor: int = 1) -> tuple[int, int]:
    """Inputs and outputs of attention's projections, and of one gated feed-forward's."""
    query, keys = HEADS * LENGTH // tensor, KV * LENGTH // tensor
    attention = (HIDDEN + query) + 2 * (HIDDEN + keys) + (query + HIDDEN)
    width = WIDTH // tensor
    return attention, 2 * (HIDDEN + width) + (width + HIDDEN)


def added(engine: Engine, version: str, sparse: bool, *options: tuple[str, str | None]) -> int:
    more: dict[str, object] = {}
    if sparse:
        more = {"model_type": "qwen3_moe", "num_experts": EXPERTS, "num_experts_per_tok": 2,
                "moe_intermediate_size": WIDTH}  # fmt: skip
    shape = from_config(config(**more))
    others = tuple(option for option in options if "lora" not in option[0])
    plain = Workload(context_tokens=512, parameters=others)
    with_loras = replace(plain, parameters=options)
    bare, adapted = (
        engine.estimate(shape, workload, None, version=version).parts.weights_bytes
        for workload in (plain, with_loras)
    )
    return adapted - bare


def test_every_projection_has_two_matrices_for_every_adapter() -> None:
    attention, feed_forward = projections()
    values = 4 * 32 * LAYERS * 2
    options = (("enable-lora", None), ("max-loras", "4"), ("max-lora-rank", "32"))
    assert added(vllm, "0.32.0", False, *options) == values * (attention + feed_forward)
    assert added(vllm, "0.32.0", False, *options[1:]) == 0  # not switched on
    parts = projections(tensor=2)
    both = (*options, ("tensor-parallel-size", "2"))
    assert added(vllm, "0.32.0", False, *both) == 2 * values * sum(parts)


def test_every_expert_has_its_own_in_newer_versions() -> None:
    attention, feed_forward = projections()
    values = 16 * LAYERS * 2
    assert added(vllm, "0.11.0", True, ("enable-lora", None)) == values * attention
    experts = values * EXPERTS * feed_forward
    assert added(vllm, "0.11.1", True, ("enable-lora", None)) == values * attention + experts


def test_sglang_holds_eight_adapters_unless_an_option_says_otherwise() -> None:
    attention, feed_forward = projections()
    each = 64 * LAYERS * 2 * (attention + feed_forward)
    rank = ("max-lora-rank", "64")
    assert added(sglang, "0.5.23", False, ("enable-lora", None), rank) == 8 * each
    two = (("lora-paths", "a=b"), ("max-loras-per-batch", "2"), rank)
    assert added(sglang, "0.5.23", False, *two) == 2 * each
