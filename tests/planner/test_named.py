"""Options named by ``--param``: they bind the engine, the context, the GPUs and the slots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.planner_cases import (
    DENSE_8B,
    HEADS_40,
    RTX_3060,
    RTX_3090,
    RTX_4090,
    decide,
    machine,
    subject,
)

from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload


def asked(*parameters: tuple[str, str | None], **wishes: Any) -> Workload:
    return Workload(parameters=parameters, **wishes)


def test_an_option_of_one_engine_rules_the_others_out() -> None:
    plan = decide(subject(DENSE_8B), machine(RTX_4090), asked(("swa-full", None))).plan
    assert plan is not None
    assert plan.backend == "llama.cpp"
    served = decide(subject(DENSE_8B), machine(RTX_4090), asked(("enforce_eager", None))).plan
    assert served is not None
    assert served.backend == "vllm"


def test_an_option_of_another_engine_is_refused_unless_insisted_on() -> None:
    wanted = asked(("swa-full", None), backend="vllm")
    refused = decide(subject(DENSE_8B), machine(RTX_4090), wanted)
    assert refused.refusal is not None
    assert "--swa-full is an option of llama.cpp, not of vllm" in refused.refusal.reasons[0]
    forced = decide(subject(DENSE_8B), machine(RTX_4090), replace(wanted, force=True)).plan
    assert forced is not None
    assert "--swa-full" in forced.parameters


def test_an_option_nobody_knows_goes_to_any_engine() -> None:
    plan = decide(subject(DENSE_8B), machine(RTX_4090), asked(("no-such-option", "1"))).plan
    assert plan is not None
    assert plan.parameters[-2:] == ("--no-such-option", "1")


@pytest.mark.parametrize(
    ("wanted", "context", "slots"),
    [
        (asked(("ctx-size", "4096"), backend="llama.cpp"), 4096, 1),
        (asked(("ctx-size", "8192"), ("parallel", "4"), backend="llama.cpp"), 2048, 4),
        (asked(("ctx-size", "8192"), backend="llama.cpp", parallel=2), 4096, 2),
        (asked(("ctx-size", "8192"), ("kv-unified", None), backend="llama.cpp", parallel=2),
         8192, 2),
        (asked(("max-model-len", "4096"), backend="vllm"), 4096, 1),
        (asked(("context-length", "4096"), backend="sglang"), 4096, 1),
    ],
)  # fmt: skip
def test_the_context_of_an_option_is_the_plans(wanted: Workload, context: int, slots: int) -> None:
    plan = decide(subject(DENSE_8B, ("BF16", "Q8_0")), machine(RTX_4090), wanted).plan
    assert plan is not None
    assert (plan.context_tokens, plan.parallel) == (context, slots)
    assert plan.estimate.context_tokens == context


def test_two_contexts_are_refused() -> None:
    wanted = asked(("max-model-len", "4096"), backend="vllm", context_tokens=8192)
    with pytest.raises(UsageError, match="8192 contradicts a --param that sets 4096"):
        decide(subject(DENSE_8B), machine(RTX_4090), wanted)


def test_a_degree_of_an_option_needs_its_gpus() -> None:
    wanted = asked(("tensor-parallel-size", "2"), backend="vllm")
    alone = decide(subject(DENSE_8B), machine(RTX_4090), wanted).refusal
    assert alone is not None
    assert "--tensor-parallel requires 2 GPUs; 1 is available" in alone.reasons[0]
    near = alone.alternatives[0]
    assert (near.backend, near.tensor_parallel) == ("vllm", 1)
    plan = decide(subject(DENSE_8B), machine(RTX_4090, RTX_4090), wanted).plan
    assert plan is not None
    assert (plan.gpus, plan.tensor_parallel) == ((0, 1), 2)


def test_a_degree_that_does_not_divide_is_the_first_reason() -> None:
    wanted = Workload(backend="vllm", tensor_parallel=3)
    found = decide(subject(HEADS_40), machine(RTX_3090, RTX_3090, RTX_3090), wanted).refusal
    assert found is not None
    assert "40 attention heads do not divide by 3" in found.reasons[0]


def test_what_is_needed_counts_the_context_that_was_asked_for() -> None:
    """Not the weights of a larger format, which are a lower bound of its need only."""
    long = DENSE_8B | {"max_position_embeddings": 262_144}
    found = decide(subject(long, ("BF16", "Q4_K_M")), machine(RTX_3060, host_gib=8),
                   Workload(context_tokens=200_000)).refusal  # fmt: skip
    assert found is not None
    assert (found.needed_bytes or 0) > 30 << 30
    assert "with a context of" in found.reasons[0]


def test_force_insists_on_a_format_that_was_asked_for() -> None:
    wanted = Workload(quantization="NVFP4", backend="vllm", backend_version="0.8.5")
    assert decide(subject(DENSE_8B), machine(RTX_4090), wanted).plan is None
    forced = decide(subject(DENSE_8B), machine(RTX_4090), replace(wanted, force=True)).plan
    assert forced is not None
    assert (forced.quantization, forced.support) == ("NVFP4", "forced")
