"""Random models on random machines with random wishes: an answer or a user's error, never a bug."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.planner_cases import decide, machine, subject

from modelscan.core.errors import ModelscanError
from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.engines.flags import workload_of


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    heads = draw(st.sampled_from((1, 7, 12, 16, 25, 32, 40, 64, 128)))
    layers = draw(st.sampled_from((1, 2, 12, 28, 61, 80)))
    made: dict[str, Any] = {
        "model_type": draw(st.sampled_from(("llama", "qwen3", "unheard_of"))),
        "architectures": ["XForCausalLM"], "hidden_act": "silu",
        "hidden_size": draw(st.sampled_from((256, 2048, 2880, 5120, 8192))),
        "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from([n for n in (1, 4, 8, heads)
                                                     if heads % n == 0])),
        "head_dim": draw(st.sampled_from((64, 96, 128, 256))),
        "intermediate_size": draw(st.sampled_from((512, 8960, 28672))),
        "vocab_size": draw(st.sampled_from((1000, 32003, 151936, 262144))),
        "max_position_embeddings": draw(st.sampled_from((512, 8192, 131072, 1048576))),
        "tie_word_embeddings": draw(st.booleans()),
        "torch_dtype": draw(st.sampled_from(("bfloat16", "float32"))),
    }  # fmt: skip
    kind = draw(st.sampled_from(("dense", "experts", "latent", "sliding", "linear")))
    if kind == "experts":
        made |= {"num_experts": 64, "num_experts_per_tok": draw(st.sampled_from((1, 8))),
                 "moe_intermediate_size": 1408, "model_type": "qwen3_moe"}  # fmt: skip
    if kind == "latent":
        made |= {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
                 "v_head_dim": 128, "model_type": "deepseek_v3"}  # fmt: skip
    if kind == "sliding":
        pattern = ("full_attention", "sliding_attention")
        made |= {"sliding_window": 1024, "model_type": "gemma3_text",
                 "layer_types": [pattern[place % 2] for place in range(layers)]}  # fmt: skip
    if kind == "linear":
        made |= {"full_attention_interval": 4, "linear_num_key_heads": 16,
                 "linear_num_value_heads": 32, "linear_key_head_dim": 128,
                 "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
                 "model_type": "qwen3_next"}  # fmt: skip
    return made


@st.composite
def machines(draw: st.DrawFn) -> Inventory:
    vendor, capability, target = draw(
        st.sampled_from(
            (("nvidia", "8.9", None), ("nvidia", "7.0", None), ("nvidia", "10.0", None),
             ("nvidia", "3.7", None), ("nvidia", None, None), ("amd", None, "gfx942"),
             ("amd", None, None), ("apple", None, None), ("intel", None, None),
             ("ascend", None, None), ("unknown", None, None))
        )
    )  # fmt: skip
    count = draw(st.sampled_from((0, 1, 2, 3, 8)))
    cards = []
    for index in range(count):
        memory = draw(st.sampled_from((8, 24, 80))) * GIB
        free = draw(st.sampled_from((memory, memory // 3, None)))
        bandwidth = draw(st.sampled_from((10**12, None)))
        cards.append(
            Gpu(index=index, name=f"card {memory // GIB}", vendor=vendor, memory_bytes=memory,
                free_bytes=free, source="simulated", compute_capability=capability,
                gfx_target=target, memory_bandwidth_bytes_per_s=bandwidth,
                unified_memory=vendor == "apple")
        )  # fmt: skip
    return machine(*cards, host_gib=draw(st.sampled_from((8, 64, 1024))))


WISHES = st.builds(
    Workload,
    quantization=st.sampled_from((None, None, None, "INT4", "FP8", "Q4_K_M")),
    backend=st.sampled_from((None, None, "llama.cpp", "vllm", "sglang", "ollama")),
    backend_version=st.sampled_from((None, None, "0.6.3", "0.40.0")),
    context_tokens=st.sampled_from((None, None, 1, 4096, 131072)),
    parallel=st.sampled_from((None, None, 1, 64)),
    tensor_parallel=st.sampled_from((None, None, None, 2, 3)),
    memory_utilization=st.sampled_from((None, None, 0.3, 1.0)),
    goal=st.sampled_from(("quality", "speed", "context")),
    mode=st.sampled_from(("standard", "throughput", "latency")),
    embedding=st.sampled_from((None, None, True)),
    force=st.booleans(),
    parameters=st.sampled_from(
        ((), (), (("swa-full", None),), (("enforce-eager", None),), (("ctx-size", "4096"),),
         (("max-model-len", "4096"),), (("parallel", "3"),), (("tp-size", "2"),))
    ),
)  # fmt: skip
FORMATS = st.sets(
    st.sampled_from(("BF16", "FP8", "AWQ", "NVFP4", "Q8_0", "Q4_K_M", "IQ1_S")),
    min_size=1, max_size=4,
)  # fmt: skip


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(configs(), FORMATS, machines(), WISHES)
def test_any_question_has_an_answer_that_adds_up(
    config: dict[str, Any], formats: set[str], here: Inventory, wish: Workload
) -> None:
    try:
        model = subject(config, sorted(formats))
        decision = decide(model, here, wish)
    except ModelscanError:
        return
    found = decision.refusal.alternatives if decision.refusal else decision.alternatives
    for plan in (*filter(None, (decision.plan,)), *found):
        sizes = plan.estimate
        assert sizes.parts.total_bytes == sizes.total_bytes
        devices = (*sizes.per_gpu, *filter(None, (sizes.host,)))
        assert sum(device.total_bytes for device in devices) == sizes.total_bytes
        shape = next(c.shape for c in model.candidates if c.variant.repo == plan.repo)
        used = tuple(gpu for gpu in here.gpus if gpu.index in plan.gpus)
        again = estimate(
            shape, workload_of(plan, wish), replace(here, gpus=used), model=model.id
        )  # fmt: skip
        assert (again.total_bytes, again.verdict) == (sizes.total_bytes, sizes.verdict)
