"""Support of formats by engines and GPUs: the hard constraints, before any estimate.

Every answer is the engine's own (``engines/<name>``); rules common to all engines are here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.registry import engine
from modelscan.engines.support_rules import NATIVE, WEIGHT_ONLY, Support, absent, capability

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.workload import Workload
    from modelscan.engines.launch_rules import LaunchQuestion

__all__ = [
    "NATIVE", "WEIGHT_ONLY", "Support", "absent", "capability", "engine_formats", "format_support",
    "gpu_support", "host_support", "launch_support", "option_support", "platform_support",
    "task_support",
]  # fmt: skip


def engine_formats(backend: str, *, unsafe: bool = False) -> tuple[str, ...]:
    """The file formats an engine loads; ``unsafe``: pickles are allowed, too."""
    one = engine(backend)
    return (*one.formats, "pickle") if unsafe and one.pickles else one.formats


def format_support(file_format: str, backend: str, *, unsafe: bool = False) -> Support:
    """Format x engine, without hardware."""
    if file_format in engine_formats(backend, unsafe=unsafe):
        return Support(NATIVE, f"{backend} loads {file_format} files")
    if file_format == "mlx":
        return absent(
            "MLX weights run on Apple silicon with mlx-lm, which modelscan does not start"
        )
    if file_format == "pickle" and not unsafe:
        return absent(
            "pickle files can run code when they are loaded: refused without --allow-unsafe"
        )
    if file_format == "gguf":
        return absent(f"GGUF files are for llama.cpp and Ollama, not {backend}")
    return absent(f"{backend} does not load {file_format} files")


def task_support(task: str, backend: str) -> Support:
    """Task x engine: whether the engine serves this task."""
    return engine(backend).task_support(task)


def platform_support(backend: str, inventory: Inventory) -> Support:
    """Engine x operating system; a simulated machine may be any."""
    platform = (inventory.host.platform or "linux").lower()
    if engine(backend).needs_linux and not inventory.simulated and "linux" not in platform:
        return absent(f"{backend} runs on Linux only, this is {platform}")
    return Support(NATIVE, platform)


def gpu_support(
    file_format: str,
    quantization: str | None,
    backend: str,
    gpu: Gpu,
    *,
    original: bool = True,
    version: str | None = None,
) -> Support:
    """Format x engine x GPU. ``original``: the model was published in this format; ``version``: of
    the engine, None for the default one.
    """
    if gpu.vendor == "intel" and not gpu.backends:  # Gaudi: no engine's Intel build is for it
        return absent(f"{backend} does not run on {gpu.name} here")
    return engine(backend).gpu_support(quantization, gpu, original=original, version=version)


def option_support(backend: str, workload: Workload, version: str | None) -> Support:
    """Engine version x the user's options."""
    return engine(backend).option_support(workload, version)


def launch_support(backend: str, question: LaunchQuestion) -> Support:
    """Engine version x model x options x GPUs: everything but the memory."""
    return engine(backend).launch_support(question)


def host_support(
    file_format: str, backend: str, inventory: Inventory, *, forced: bool = False
) -> Support:
    """Format x engine without a GPU. ``forced``: the user has a CPU build."""
    return engine(backend).host_support(file_format, forced=forced)
