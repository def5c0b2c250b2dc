"""Which of llama.cpp's published builds is for a machine: names as in its release b11101."""

from __future__ import annotations

import pytest

from modelscan.core.gpu import Gpu
from modelscan.engines.cuda_toolkit import toolkit_refusal
from modelscan.engines.llamacpp.release_builds import (
    Accelerator,
    choose,
    container,
    read_name,
    source_build,
    target_of,
)

BUILDS = (
    f"llama-b11101-bin-{rest}"
    for rest in (
        "android-arm64.tar.gz",
        "linux-arm64-snapdragon.tar.gz",
        "macos-arm64.tar.gz",
        "macos-x64.tar.gz",
        "ubuntu-arm64.tar.gz",
        "ubuntu-cuda-12.8-x64.tar.gz",
        "ubuntu-cuda-13.4-arm64.tar.gz",
        "ubuntu-cuda-13.4-x64.tar.gz",
        "ubuntu-openvino-2026.4-x64.tar.gz",
        "ubuntu-rocm-10.0-x64.tar.gz",
        "ubuntu-sycl-fp16-x64.tar.gz",
        "ubuntu-vulkan-arm64.tar.gz",
        "ubuntu-vulkan-x64.tar.gz",
        "ubuntu-x64.tar.gz",
        "win-cpu-x64.zip",
        "win-cuda-12.4-x64.zip",
        "win-opencl-adreno-arm64.zip",
        "win-vulkan-x64.zip",
    )
)
NAMES = (
    *BUILDS,
    "cudart-llama-b11101-bin-ubuntu-cuda-12.8-x64.tar.gz",
    "cudart-llama-b11101-bin-ubuntu-cuda-13.4-x64.tar.gz",
    "cudart-llama-bin-win-cuda-12.4-x64.zip", "llama-b11101-ui.tar.gz",
    "llama-b11101-xcframework.zip",
)  # fmt: skip


def gpu(vendor: str, driver: str | None = None, capability: str | None = None,
        source: str = "nvml") -> Gpu:  # fmt: skip
    return Gpu(0, "a card", vendor, 1, 1, source, driver_version=driver,
               compute_capability=capability)  # fmt: skip


@pytest.mark.parametrize(
    ("system", "machine", "gpus", "label", "parts"),
    [
        ("Linux", "x86_64", (), "cpu", 0),
        ("Linux", "aarch64", (), "cpu", 0),
        ("Linux", "x86_64", (gpu("nvidia", "580.95.05", "8.9"),), "cuda-13.4", 1),
        ("Linux", "x86_64", (gpu("nvidia", "550.54.14", "8.9"),), "cuda-12.8", 1),
        ("Linux", "x86_64", (gpu("nvidia", "580.95.05", "6.1"),), "cuda-12.8", 1),
        ("Linux", "x86_64", (gpu("nvidia", "470.82", "7.5"),), "vulkan", 0),
        ("Linux", "x86_64", (gpu("nvidia"),), "cuda-13.4", 1),
        ("Linux", "aarch64", (gpu("nvidia", "550.54", "9.0"),), "vulkan", 0),
        ("Linux", "x86_64", (gpu("amd", source="amd-smi"),), "rocm-10.0", 0),
        ("Linux", "x86_64", (gpu("amd", source="sysfs"),), "vulkan", 0),
        ("Linux", "x86_64", (gpu("intel"),), "vulkan", 0),
        ("Darwin", "arm64", (gpu("apple"),), "metal", 0),
        ("Darwin", "x86_64", (), "cpu", 0),
        ("Windows", "AMD64", (gpu("nvidia", "560.1", "8.9"),), "cuda-12.4", 1),
    ],
)
def test_the_build_for_a_machine(
    system: str, machine: str, gpus: tuple[Gpu, ...], label: str, parts: int
) -> None:
    target = target_of(system, machine, gpus)
    assert target is not None
    choice = choose(NAMES, target)
    assert choice.build is not None and choice.build.label == label, choice.reasons
    assert len(choice.parts) == parts


@pytest.mark.parametrize(
    ("machine", "gpus", "requested", "reason"),
    [
        ("s390x", (), None, "no cpu build for linux on s390x"),
        ("x86_64", (gpu("ascend"),), None, "publishes no builds for ascend"),
        ("x86_64", (), "cuda", "a CUDA build needs an NVIDIA GPU"),
        ("x86_64", (gpu("nvidia", "470.1"),), "cuda", "CUDA 13.4 needs driver 580.65 or newer"),
    ],
)
def test_without_a_build_the_reason_is_there(
    machine: str, gpus: tuple[Gpu, ...], requested: Accelerator | None, reason: str
) -> None:
    target = target_of("Linux", machine, gpus)
    assert target is not None
    choice = choose(NAMES, target, requested)
    assert choice.build is None and reason in "; ".join(choice.reasons)
    assert container(target).startswith("ghcr.io/ggml-org/llama.cpp:server")
    assert "llama-server" in source_build(target)


def test_other_files_of_a_release_are_no_builds() -> None:
    read = [name for name in NAMES if read_name(name) is None]
    assert len(read) == 6 and all("x64.tar" not in name or "openvino" in name for name in read)
    assert target_of("FreeBSD", "amd64", ()) is None
    assert read_name("llama-b6801-bin-win-hip-radeon-x64.zip").label == "rocm"  # type: ignore[union-attr]


def test_a_toolkit_on_a_card() -> None:
    assert toolkit_refusal((13, 0), gpu("nvidia", "580.65.06", "7.5")) is None
    assert "580.65" in str(toolkit_refusal((13, 0), gpu("nvidia", "570.10", "9.0")))
    assert "7.5 or newer" in str(toolkit_refusal((13, 0), gpu("nvidia", None, "7.0")))
    assert "12.8" in str(toolkit_refusal((12, 4), gpu("nvidia", None, "12.0")))
    assert toolkit_refusal((), gpu("nvidia")) is None
