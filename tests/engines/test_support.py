"""The support matrix: format x engine x GPU."""

from __future__ import annotations

import pytest

from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.engines import support
from modelscan.engines.support_rules import NVIDIA_KERNELS
from modelscan.gpu.facts import all_facts
from modelscan.gpu.simulate import simulate


def nvidia(capability: str | None) -> Gpu:
    return Gpu(0, "card", "nvidia", 24 << 30, 23 << 30, "simulated", compute_capability=capability)


def amd(target: str | None) -> Gpu:
    return Gpu(0, "card", "amd", 24 << 30, 23 << 30, "simulated", gfx_target=target)


@pytest.mark.parametrize(
    ("quantization", "capability", "kind"),
    [
        ("FP8", "9.0", "native"), ("FP8", "8.9", "native"), ("FP8", "8.6", "weight_only"),
        ("FP8", "8.0", "weight_only"), ("FP8", "7.5", "weight_only"), ("FP8", "7.0", None),
        ("FP8", "10.0", "native"), ("FP8", "12.0", "native"), ("FP8", "6.1", None),
        ("BF16", "8.0", "native"), ("BF16", "7.5", "weight_only"), ("BF16", "6.1", None),
        ("FP16", "7.5", "native"), ("FP16", "7.0", None), ("INT8", "8.0", "native"), ("INT8", "10.0", None),
        ("INT8", "7.0", None), ("AWQ", "7.5", "weight_only"), ("AWQ", "7.0", None),
        ("GPTQ-Int4", "7.5", "weight_only"), ("NVFP4", "10.0", "native"),
        ("NVFP4", "12.0", "native"), ("NVFP4", "9.0", "weight_only"), ("NVFP4", "7.5", "weight_only"), ("MXFP8", "8.0", "weight_only"),
        ("MXFP4", "9.0", "weight_only"), ("MXFP4", "10.0", "native"), ("MXFP4", "7.5", None),
        ("W4A16", "8.6", "weight_only"), ("FP8-block", "8.9", "native"), ("FP8-block", "7.5", "weight_only"),
    ],
)  # fmt: skip
def test_nvidia_with_vllm(quantization: str, capability: str, kind: str | None) -> None:
    found = support.gpu_support("safetensors", quantization, "vllm", nvidia(capability))
    assert found.kind == kind
    if kind is None:
        assert capability in found.reason


@pytest.mark.parametrize(
    ("quantization", "target", "kind"),
    [
        ("BF16", "gfx942", "native"), ("FP8", "gfx942", "native"), ("FP8", "gfx90a", None),
        ("FP8", "gfx1100", None), ("FP8", "gfx1201", "native"), ("BF16", "gfx1030", None),
        ("AWQ", "gfx942", "weight_only"), ("NVFP4", "gfx950", "weight_only"), ("MXFP4", "gfx950", "native"),
        ("MXFP4", "gfx90a", "weight_only"), ("INT8", "gfx942", "native"), ("BNB-4bit", "gfx942", None),
        ("BF16", "gfx1100-1103", "native"), ("FP8", "gfx1200/1201", "native"),
    ],
)  # fmt: skip
def test_amd_with_vllm(quantization: str, target: str, kind: str | None) -> None:
    assert support.gpu_support("safetensors", quantization, "vllm", amd(target)).kind == kind


def test_capabilities_compare_as_versions() -> None:
    assert support.capability("10.0") > support.capability("9.0")  # type: ignore[operator]
    assert support.capability("x") is None
    assert support.capability(None) is None


def test_unknown_generation_is_noted_not_refused() -> None:
    found = support.gpu_support("safetensors", "FP8", "vllm", nvidia(None))
    assert found
    assert "not checked" in found.notes[0]


@pytest.mark.parametrize(
    ("file_format", "backend", "answer"),
    [
        ("gguf", "llama.cpp", True), ("gguf", "ollama", True), ("gguf", "vllm", False),
        ("gguf", "sglang", False), ("safetensors", "vllm", True), ("safetensors", "sglang", True),
        ("safetensors", "llama.cpp", False), ("mlx", "vllm", False), ("mlx", "llama.cpp", False),
        ("pickle", "vllm", False), ("onnx", "vllm", False), ("unknown", "vllm", False),
    ],
)  # fmt: skip
def test_formats(file_format: str, backend: str, answer: bool) -> None:
    found = support.format_support(file_format, backend)
    assert bool(found) is answer
    assert found.reason


def test_tasks() -> None:
    assert support.task_support("embedding", "vllm")
    assert support.task_support("rerank", "llama.cpp")
    assert not support.task_support("rerank", "ollama")
    assert not support.task_support("text_to_speech", "vllm")


def test_nothing_but_gguf_without_a_gpu() -> None:
    bare = Inventory((), Host(8, 32 << 30, 24 << 30))
    assert support.host_support("gguf", "llama.cpp", bare)
    assert not support.host_support("safetensors", "vllm", bare)


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_batching_servers_need_nvidia_or_amd(backend: str) -> None:
    apple = Gpu(0, "M4 Max", "apple", 96 << 30, 90 << 30, "simulated", unified_memory=True)
    assert not support.gpu_support("safetensors", "BF16", backend, apple)
    assert support.gpu_support("gguf", "Q4_K_M", "llama.cpp", apple)


def test_batching_servers_need_linux() -> None:
    def inventory(platform: str | None, source: str) -> Inventory:
        return Inventory((), Host(8, 32 << 30, 24 << 30, platform=platform), source=source)

    assert not support.platform_support("vllm", inventory("windows-amd64", "local"))
    assert not support.platform_support("sglang", inventory("darwin-arm64", "local"))
    assert support.platform_support("llama.cpp", inventory("windows-amd64", "local"))
    assert support.platform_support("vllm", inventory("linux-x86_64", "local"))
    assert support.platform_support("vllm", inventory("darwin-arm64", "simulated"))
    assert support.platform_support("vllm", inventory(None, "local"))


def test_the_probe_and_the_planner_agree_on_every_gpu_of_the_table() -> None:
    for row in all_facts():
        gpu = simulate(row.name).gpus[0]
        for backend in ("llama.cpp", "ollama", "vllm", "sglang"):
            file_format = support.engine_formats(backend)[0]
            quantization = "Q4_K_M" if file_format == "gguf" else "FP16"
            runs = bool(support.gpu_support(file_format, quantization, backend, gpu))
            assert runs == (backend in gpu.backends), (row.name, backend)


def test_torchao_has_kernels_and_a_package_of_its_own() -> None:
    found = NVIDIA_KERNELS["TORCHAO"].judge("TORCHAO", (9, 0))
    assert found.kind == "weight_only"
    assert "torchao's kernels" in found.reason
    assert any("package" in note for note in found.notes)
    assert not NVIDIA_KERNELS["TORCHAO"].judge("TORCHAO", (7, 0))
