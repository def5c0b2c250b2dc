"""Whether a version of an engine starts a model: architecture, method, context, split, options."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelscan.core.adapter import LoraAdapter
from modelscan.core.workload import Workload
from modelscan.engines.launch_rules import LaunchQuestion
from modelscan.engines.registry import engine
from modelscan.engines.support import launch_support, option_support
from modelscan.engines.support_rules import Support
from modelscan.gpu.simulate import simulate
from modelscan.memory.shape import from_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
    "num_hidden_layers": 4, "num_attention_heads": 32, "num_key_value_heads": 8,
    "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}  # fmt: skip
YARN = {"rope_scaling": {"rope_type": "yarn", "factor": 4.0,
                         "original_max_position_embeddings": 8192}}  # fmt: skip
MOE = LLAMA | {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_experts": 128,
    "num_experts_per_tok": 8, "moe_intermediate_size": 768, "decoder_sparse_step": 1,
}  # fmt: skip


def quantized(**details: Any) -> dict[str, Any]:
    return {"quantization_config": details}


def answer(
    name: str, version: str, config: dict[str, Any], gpu: str = "H100 80GB", degree: int = 1,
    context: int | None = 4096, task: str = "chat", **options: str | None,
) -> Support:  # fmt: skip
    parameters = tuple((key.replace("_", "-"), value) for key, value in options.items())
    workload = Workload(backend_version=version, context_tokens=context, parameters=parameters)
    gpus = simulate(f"{degree}x {gpu}" if degree > 1 else gpu).gpus
    question = LaunchQuestion(from_config(config), workload, gpus, degree, task)
    return launch_support(engine(name).name, question)


FP8 = quantized(quant_method="fp8", weight_block_size=[128, 128], activation_scheme="dynamic")
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}


@pytest.mark.parametrize(
    ("name", "version", "config", "keywords", "reason"),
    [
        # architectures
        ("vllm", "0.10.0", {"architectures": ["GptOssForCausalLM"]}, {}, "from 0.10.1 on"),
        ("vllm", "0.32.0", {"architectures": ["ArcticForCausalLM"]}, {}, "until 0.28.0"),
        ("vllm", "0.32.0", {"architectures": ["BartModel"]}, {}, "plugin"),
        ("vllm", "0.32.0", {"architectures": ["MadeUpForCausalLM"]}, {}, "no vLLM up to"),
        ("vllm", "0.99.0", {"architectures": ["MadeUpForCausalLM"]}, {}, None),
        ("vllm", "0.32.0", {"architectures": ["Qwen3ForRewardModeling"]}, {}, None),
        ("vllm", "0.32.0", {"architectures": []}, {}, None),
        ("sglang", "0.4.8", {"architectures": ["GptOssForCausalLM"]}, {}, "from 0.5.1 on"),
        # methods and capabilities of the checkpoint's own quantizer
        ("vllm", "0.26.0", quantized(quant_method="modelopt", quant_algo="FP8"),
         {"gpu": "A100 80GB"}, "from 0.27.0 on"),
        ("vllm", "0.27.0", quantized(quant_method="modelopt", quant_algo="FP8"),
         {"gpu": "A100 80GB"}, None),
        ("vllm", "0.32.0", quantized(**GPTQ | {"sym": False}), {}, "asymmetric"),
        ("vllm", "0.21.0", quantized(**GPTQ | {"sym": False}), {}, None),
        ("vllm", "0.32.0", quantized(**GPTQ | {"bits": 2}), {}, "2 bits"),
        ("sglang", "0.5.23", quantized(**GPTQ), {"gpu": "T4"}, "8.0"),
        ("vllm", "0.32.0", quantized(quant_method="fbgemm_fp8"), {}, "allow-deprecated"),
        ("vllm", "0.32.0", quantized(quant_method="fbgemm_fp8"),
         {"allow_deprecated_quantization": None}, None),
        ("vllm", "0.32.0", quantized(quant_method="aqlm"), {}, "no quantization method aqlm"),
        ("vllm", "0.32.0", quantized(quant_method="bitsandbytes", load_in_4bit=True), {},
         "until 0.27.1"),
        ("vllm", "0.11.0", quantized(quant_method="modelopt", quant_algo="NVFP4"),
         {"gpu": "MI300X"}, "ROCm"),
        # types
        ("vllm", "0.32.0", {"model_type": "gemma2"}, {"dtype": "half"}, "float16"),
        ("vllm", "0.32.0", {}, {"dtype": "half"}, None),
        ("sglang", "0.5.23", {"model_type": "gemma2"}, {"dtype": "half"}, None),
        ("vllm", "0.32.0", quantized(quant_method="modelopt", quant_algo="MXFP8"),
         {"dtype": "float16"}, "not in float16"),
        ("vllm", "0.11.0", quantized(**AWQ), {"dtype": "bfloat16"}, None),  # Marlin
        ("vllm", "0.11.0", quantized(**GPTQ), {"dtype": "bfloat16"}, None),
        ("vllm", "0.11.0", quantized(**GPTQ | {"sym": False}), {"dtype": "bfloat16"},
         "computes gptq in float16"),
        ("vllm", "0.11.0", quantized(**GPTQ), {"dtype": "bfloat16", "quantization": "gptq"},
         "computes gptq in float16"),
        ("vllm", "0.32.0", {}, {"gpu": "T4", "dtype": "bfloat16"}, "from compute capability 8.0"),
        ("sglang", "0.5.23", {}, {"gpu": "T4", "dtype": "bfloat16"}, None),  # lowered to float16
        ("vllm", "0.32.0", {}, {"dtype": "fp16"}, "no --dtype fp16"),
        ("sglang", "0.5.10", quantized(**GPTQ | {"bits": 3}), {}, None),
        ("sglang", "0.5.23", quantized(**GPTQ | {"bits": 3}), {}, "3 bits"),
        ("sglang", "0.5.23", quantized(**GPTQ | {"sym": False}), {}, "0.4.3.post4 to 0.5.19"),
        # context
        ("vllm", "0.32.0", {"model_max_length": 131072}, {"context": 131072}, None),  # Command R
        ("vllm", "0.32.0", {"seq_length": 4096}, {"context": 8192}, "config.json gives 4,096"),
        ("sglang", "0.5.23", {"seq_length": 4096}, {"context": 8192}, "config.json gives 4,096"),
        ("vllm", "0.32.0", {}, {"context": 8193}, "config.json gives 8,192"),
        ("vllm", "0.29.0", YARN, {"context": 32768}, None),
        ("vllm", "0.30.0", YARN, {"context": 32768}, "max_position_embeddings"),
        ("sglang", "0.5.23", YARN, {"context": 32768}, "config.json gives 8,192"),
        ("vllm", "0.32.0", {"rope_scaling": {"type": "linear", "factor": 2.0}},
         {"context": 16384}, None),
        ("vllm", "0.32.0", {}, {"context": 32768, "hf_overrides": json.dumps(
            YARN | {"max_position_embeddings": 32768})}, None),
        ("vllm", "0.28.0", {}, {"context": 32768, "hf_overrides": json.dumps(YARN)}, None),
        # tensor parallelism
        ("vllm", "0.28.0", MOE | FP8, {"degree": 4}, "makes the blocks of experts smaller"),
        ("vllm", "0.29.0", MOE | FP8, {"degree": 4}, None),
        ("vllm", "0.28.0", MOE | FP8, {"degree": 4, "enable_expert_parallel": None}, None),
        ("sglang", "0.5.23", MOE | FP8, {"degree": 4}, "192"),
        ("sglang", "0.5.23", MOE | FP8, {"degree": 4, "ep_size": "4"}, None),
        ("vllm", "0.32.0", {"intermediate_size": 14464} | FP8, {"degree": 2}, "7232"),
        ("vllm", "0.32.0", {"intermediate_size": 29568} | quantized(**AWQ), {"degree": 4}, "7392"),
        ("vllm", "0.32.0", {"intermediate_size": 29696} | quantized(**AWQ), {"degree": 4}, None),
        ("vllm", "0.32.0", {"intermediate_size": 29568} | quantized(**GPTQ | {"desc_act": True}),
         {"degree": 4}, None),
        ("vllm", "0.32.0", MOE | quantized(**AWQ), {"degree": 4}, None),
        # adapters and tasks
        ("vllm", "0.32.0", {"architectures": ["FalconForCausalLM"]}, {"enable_lora": None}, "LoRA"),
        ("vllm", "0.32.0", {}, {"enable_lora": None}, None),
        ("sglang", "0.5.23", {}, {"enable_lora": None}, None),  # modules of any class
        ("sglang", "0.4.9", {"architectures": ["Gemma2ForCausalLM"]}, {"enable_lora": None}, None),
        ("vllm", "0.32.0", {}, {"task": "speech_to_text"}, "does not transcribe"),
        ("vllm", "0.32.0", {"architectures": ["WhisperForConditionalGeneration"]},
         {"task": "speech_to_text"}, None),
    ],
)  # fmt: skip
def test_what_starts(
    name: str, version: str, config: dict[str, Any], keywords: dict[str, Any], reason: str | None
) -> None:
    support = answer(name, version, LLAMA | config, **keywords)
    if reason is None:
        assert support, support.reason
    else:
        assert not support
        assert reason in support.reason


def test_outside_of_every_registry_is_unknown_and_removed_is_not() -> None:
    assert answer("vllm", "0.32.0", LLAMA | {"architectures": ["MadeUpForCausalLM"]}).unknown
    assert not answer("vllm", "0.32.0", LLAMA | {"architectures": ["ArcticForCausalLM"]}).unknown


def test_the_version_whose_facts_were_used_is_named() -> None:
    assert answer("vllm", "0.32.9", LLAMA).notes == ("what vllm 0.32.9 runs is taken from 0.32.0",)
    assert answer("vllm", "0.32.0", LLAMA).notes == ()


@pytest.mark.parametrize(
    ("name", "version", "option", "value", "reason"),
    [
        ("vllm", "0.32.0", "swap-space", "4", "until 0.17.1"),
        ("vllm", "0.10.0", "kv-cache-memory-bytes", "1", "from 0.10.2 on"),
        ("vllm", "0.32.0", "no-enable-prefix-caching", None, None),
        ("vllm", "0.32.0", "compilation_config.level", "3", None),
        ("vllm", "0.99.0", "some-new-option", "4", None),
        ("vllm", "0.32.0", "some-typo", None, "no option of vLLM 0.32.0"),
        ("vllm", "0.12.0", "tool-call-parser", "deepseek_v32", "from 0.13.0 on"),
        ("vllm", "0.12.0", "tool-call-parser", "hermes", None),
        ("sglang", "0.5.23", "reasoning-parser", "deepseek_r1", "no --reasoning-parser"),
        ("sglang", "0.5.23", "reasoning-parser", "deepseek-r1", None),
        ("sglang", "0.5.23", "tp", "2", None),
    ],
)  # fmt: skip
def test_options_of_a_version(
    name: str, version: str, option: str, value: str | None, reason: str | None
) -> None:
    workload = Workload(parameters=((option, value),))
    support = option_support(engine(name).name, workload, version)
    assert bool(support) is (reason is None)
    assert (reason or "") in support.reason


def test_a_type_that_float16_overflows_runs_in_float32() -> None:
    gemma = from_config(LLAMA | {"model_type": "gemma3_text"}).architecture
    assert engine("vllm").computing_dtype(gemma, "0.32.0") == "float32"
    assert engine("vllm").computing_dtype(gemma, "0.8.0") == "half"
    assert engine("sglang").computing_dtype(gemma, "0.5.23") == "half"


def test_a_device_that_is_not_among_the_gpus() -> None:
    override = (("override-tensor", "exps=CUDA1"),)
    workload = Workload(parameters=override, context_tokens=4096)
    shape = from_config(LLAMA)
    for count, reason in ((1, "CUDA1"), (2, "")):
        gpus = simulate(f"{count}x RTX 4090").gpus
        support = launch_support("llama.cpp", LaunchQuestion(shape, workload, gpus, 1, "chat"))
        assert bool(support) is (count == 2)
        assert reason in support.reason


@pytest.mark.parametrize(
    ("version", "modules", "state"),
    [
        ("0.5.23", ("q_proj", "word_embeddings"), "ok"),
        ("0.5.1", ("q_proj", "lm_head"), "fails"),
        ("0.5.1", ("model.layers.0.mlp.fc1",), "unknown"),
    ],
)
def test_the_modules_that_sglang_adapts(version: str, modules: tuple[str, ...], state: str) -> None:
    adapter = LoraAdapter(path="a", format="peft", target_modules=modules)
    checks = list(engine("sglang").adapter_checks(adapter, version))
    assert [one.state for one in checks if one.name == "target_modules"] == [state]


def test_sglang_transcribes_with_the_classes_of_its_version() -> None:
    whisper = LLAMA | {"architectures": ["WhisperForConditionalGeneration"]}
    assert answer("sglang", "0.5.23", whisper, task="speech_to_text")
    assert not answer("sglang", "0.5.23", LLAMA, task="speech_to_text")
