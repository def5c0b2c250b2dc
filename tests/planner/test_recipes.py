"""Published options in plans: speculative decoding, and experts that are not divided."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.planner_cases import EXPERTS_30B, H100, LATENT_671B, decide, machine, subject

from modelscan.core.model import Model, Spec
from modelscan.core.plan import ResolvedModel
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Workload
from modelscan.gpu.simulate import simulate

BLOCKS = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
SMALL = 16 << 30  # only all eight cards have room
NARROW = EXPERTS_30B | BLOCKS | {"moe_intermediate_size": 1536}  # 192 for each of eight


def drafting(mode: str) -> ResolvedModel:
    model = subject(LATENT_671B, ["FP8"])
    spec = Spec(
        "huggingface", model.candidates[0].variant.repo, "vLLM", "FP8", mode,
        speculative_config={"enabled": True, "algorithm": "mtp", "num_draft_tokens": 2},
    )  # fmt: skip
    return replace(model, model=Model(id=model.id, name=model.name, specs=(spec,)))


def test_the_recipe_of_the_mode_drafts_with_the_model_s_own_layers() -> None:
    wish = Workload(mode="latency", backend="vllm", tensor_parallel=8)
    plan = decide(drafting("latency"), simulate("8x H200"), wish).plan
    plain = decide(drafting("throughput"), simulate("8x H200"), wish).plan
    assert plan is not None
    assert plain is not None
    found = json.loads(plan.settings["speculative-config"] or "")
    assert found == {"method": "mtp", "num_speculative_tokens": 2}
    assert "speculative-config" not in plain.settings
    weights = [p.estimate.parts.weights_bytes for p in (plan, plain)]
    assert weights[0] > weights[1]  # the prediction layer is loaded


def test_a_user_s_speculation_replaces_the_recipe_s() -> None:
    wish = Workload(mode="latency", backend="vllm", tensor_parallel=8,
                    parameters=(("speculative-config", '{"method":"ngram"}'),))  # fmt: skip
    plan = decide(drafting("latency"), simulate("8x H200"), wish).plan
    assert plan is not None
    assert plan.parameters.count("--speculative-config") == 1
    assert plan.settings["speculative-config"] == '{"method":"ngram"}'


@pytest.mark.parametrize(
    ("backend", "version", "option"),
    [("vllm", "0.20.2", "enable-expert-parallel"), ("sglang", "0.5.9", "ep-size")],
)
def test_experts_that_do_not_divide_stay_whole(backend: str, version: str, option: str) -> None:
    wish = Workload(backend=backend, backend_version=version, tensor_parallel=8)
    cards = machine(*[H100] * 8)
    plan = decide(subject(NARROW, ["FP8"]), cards, replace(wish, tensor_parallel=4)).plan
    assert plan is not None
    assert option not in plan.settings
    refused = decide(subject(NARROW, ["FP8"]), cards, wish)
    assert refused.refusal is not None
    assert refused.verdict is Verdict.NOT_SUPPORTED
    assert any(f"--param {option}" in reason for reason in refused.refusal.reasons)
    small = machine(*[replace(H100, memory_bytes=SMALL, free_bytes=SMALL)] * 8)
    free = decide(subject(NARROW, ["FP8"]), small, replace(wish, tensor_parallel=None)).plan
    assert free is not None, (backend, version)
    assert (free.tensor_parallel, option in free.settings) == (8, True)
    assert any("1536 / 8 = 192" in reason and "whole experts" in reason for reason in free.reasons)


def test_a_number_of_experts_that_does_not_divide_is_refused() -> None:
    wish = Workload(backend="vllm", backend_version="0.20.2", tensor_parallel=8)
    odd = subject(NARROW | {"num_experts": 126}, ["FP8"])
    assert decide(odd, machine(*[H100] * 8), wish).verdict is Verdict.NOT_SUPPORTED
