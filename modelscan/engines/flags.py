"""An engine's launch options, and back: what a plan says is exactly what the estimate counted.

Options are kept as (long name without dashes, value); None is a bare flag. ``render`` makes the
argument list, ``parse`` reads one, ``workload_of`` gives the Workload that the options mean.
Names: llama-server b11549 (``--load-mode`` and friends), vLLM 0.6 to 0.32, SGLang 0.5, Ollama's
model options and OLLAMA_* variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from modelscan.core.gpu import Gpu
from modelscan.core.plan import Plan
from modelscan.core.workload import REMOTE_CODE, Backend, Workload

Options = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything the options depend on. ``context_tokens`` is what ONE request may use."""

    backend: Backend
    task: str
    context_tokens: int
    parallel: int | None  # None: the engine's own default
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    gpu_count: int = 0
    gpu_layers: int | None = None  # llama.cpp: None = all
    cpu_experts: int = 0  # llama.cpp: layers whose experts stay in host memory
    tensor_split: tuple[int, ...] = ()
    memory_utilization: float | None = None
    half: bool = False
    pooling: str | None = None  # None: what the model's own metadata says


def options(launch: Launch, workload: Workload) -> Options:
    """The engine's options for a launch; the user's own ``--param`` wins over ours."""
    ours = _BY_BACKEND[launch.backend](launch, workload)
    given = {_key(name) for name, _ in workload.parameters}
    return (*((n, v) for n, v in ours if _key(n) not in given), *workload.parameters)


def _llamacpp(launch: Launch, workload: Workload) -> Iterable[tuple[str, str | None]]:
    slots = launch.parallel or 1
    unified = workload.parameter("kv-unified") is not None
    yield "ctx-size", str(launch.context_tokens * (1 if unified else slots))
    yield "parallel", str(slots)
    if launch.gpu_count:
        yield "n-gpu-layers", "all" if launch.gpu_layers is None else str(launch.gpu_layers)
    else:
        yield "n-gpu-layers", "0"
    if launch.cpu_experts:
        yield "n-cpu-moe", str(launch.cpu_experts)
    if launch.tensor_split:
        yield "tensor-split", ",".join(str(share) for share in launch.tensor_split)
    shared = (
        ("cache-type-k", workload.kv_cache_k),
        ("cache-type-v", workload.kv_cache_v),
        ("flash-attn", workload.flash_attention),
        ("ubatch-size", workload.ubatch and str(workload.ubatch)),
        *(("lora", adapter) for adapter in workload.adapters),
    )
    yield from ((name, str(value)) for name, value in shared if value)
    if launch.task == "rerank":
        yield "reranking", None
    elif launch.task == "embedding" or workload.embedding:
        yield "embedding", None
        if launch.pooling:
            yield "pooling", launch.pooling


def _vllm(launch: Launch, workload: Workload) -> Iterable[tuple[str, str | None]]:
    yield "max-model-len", str(launch.context_tokens)
    if launch.memory_utilization is not None:
        yield "gpu-memory-utilization", f"{launch.memory_utilization:g}"
    if launch.tensor_parallel > 1:
        yield "tensor-parallel-size", str(launch.tensor_parallel)
    if launch.pipeline_parallel > 1:
        yield "pipeline-parallel-size", str(launch.pipeline_parallel)
    if launch.parallel is not None:
        yield "max-num-seqs", str(launch.parallel)
    if workload.kv_cache_k and workload.kv_cache_k not in ("auto", "f16", "bf16"):
        yield "kv-cache-dtype", workload.kv_cache_k
    if launch.half:
        yield "dtype", "half"
    if launch.task in ("embedding", "rerank") or workload.embedding:
        yield _pooling_option(workload.backend_version, launch.task)
    if workload.adapters:
        yield "enable-lora", None
        yield "max-loras", str(len(workload.adapters))
    if workload.allow_unsafe:
        yield REMOTE_CODE, None


def _pooling_option(version: str | None, task: str) -> tuple[str, str | None]:
    """``--runner pooling`` replaced ``--task embed|score`` in 0.10."""
    numbers = [int(part) for part in (version or "").lstrip("v").split(".")[:2] if part.isdigit()]
    if len(numbers) == 2 and tuple(numbers) < (0, 10):
        return "task", "score" if task == "rerank" else "embed"
    return "runner", "pooling"


def _sglang(launch: Launch, workload: Workload) -> Iterable[tuple[str, str | None]]:
    yield "context-length", str(launch.context_tokens)
    if launch.memory_utilization is not None:
        yield "mem-fraction-static", f"{launch.memory_utilization:g}"
    if launch.tensor_parallel > 1:
        yield "tp-size", str(launch.tensor_parallel)
    if launch.pipeline_parallel > 1:
        yield "pp-size", str(launch.pipeline_parallel)
    if launch.parallel is not None:
        yield "max-running-requests", str(launch.parallel)
    if workload.kv_cache_k and workload.kv_cache_k not in ("auto", "f16", "bf16"):
        kind = "fp8_e5m2" if workload.kv_cache_k == "fp8" else workload.kv_cache_k
        yield "kv-cache-dtype", kind
    if launch.half:
        yield "dtype", "half"
    if launch.task in ("embedding", "rerank") or workload.embedding:
        yield "is-embedding", None
    if workload.adapters:
        yield "enable-lora", None
    if workload.allow_unsafe:
        yield REMOTE_CODE, None


def _ollama(launch: Launch, workload: Workload) -> Iterable[tuple[str, str | None]]:
    yield "num-ctx", str(launch.context_tokens)
    if launch.gpu_count == 0:
        yield "num-gpu", "0"
    elif launch.gpu_layers is not None:
        yield "num-gpu", str(launch.gpu_layers)
    if workload.ubatch:
        yield "num-batch", str(workload.ubatch)


_BY_BACKEND = {"llama.cpp": _llamacpp, "vllm": _vllm, "sglang": _sglang, "ollama": _ollama}


def environment(
    launch: Launch, workload: Workload, gpus: Sequence[Gpu], every: bool
) -> dict[str, str]:
    """Variables of the engine's process. ``every``: all devices are used, so none is hidden.

    Indices are the driver's, in the order of the bus; CUDA's own order is by speed unless told.
    MIG instances have no index of their own, so they go by UUID.
    """
    env: dict[str, str] = {}
    vendor = gpus[0].vendor if gpus else None
    if vendor == "nvidia" and (not every or any(gpu.mig for gpu in gpus)):
        names = [gpu.uuid if gpu.mig and gpu.uuid else str(gpu.index) for gpu in gpus]
        env = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(names)}
    elif vendor == "amd" and not every:
        env = {"HIP_VISIBLE_DEVICES": ",".join(str(gpu.index) for gpu in gpus)}
    if launch.backend == "ollama":
        env["OLLAMA_NUM_PARALLEL"] = str(launch.parallel or 1)
        if workload.kv_cache_k:
            env["OLLAMA_KV_CACHE_TYPE"] = workload.kv_cache_k
        if workload.flash_attention in ("on", "off"):
            env["OLLAMA_FLASH_ATTENTION"] = "1" if workload.flash_attention == "on" else "0"
    return env


def render(chosen: Options) -> tuple[str, ...]:
    """The argument list: every engine here takes ``--name value``."""
    words: list[str] = []
    for name, value in chosen:
        words.append(f"--{name}")
        if value is not None:
            words.append(value)
    return tuple(words)


def parse(words: Sequence[str]) -> Options:
    """An argument list as options; understands ``--name=value`` as well."""
    found: list[tuple[str, str | None]] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            found.append((name, value if equals else None))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0], word)
    return tuple(found)


def workload_of(plan: Plan, wanted: Workload | None = None) -> Workload:
    """The Workload a plan's own flags mean: what an estimate of the plan must be asked with."""
    return estimate_workload(
        _of_environment(wanted or Workload(), plan),
        backend=plan.backend,
        backend_version=plan.backend_version,
        chosen=parse(plan.parameters),
        context_tokens=plan.context_tokens,
        parallel=plan.parallel,
        gpus=plan.gpus,
        tensor_parallel=plan.tensor_parallel,
        pipeline_parallel=plan.pipeline_parallel,
    )


def _of_environment(wanted: Workload, plan: Plan) -> Workload:
    """Ollama takes the cache's type and flash attention from variables."""
    if plan.backend != "ollama":
        return wanted
    kind = plan.env.get("OLLAMA_KV_CACHE_TYPE")
    flash = {"1": "on", "0": "off"}.get(plan.env.get("OLLAMA_FLASH_ATTENTION", ""))
    return replace(wanted, kv_cache_k=kind, kv_cache_v=kind, flash_attention=flash)


def estimate_workload(
    wanted: Workload,
    *,
    backend: Backend,
    backend_version: str | None,
    chosen: Options,
    context_tokens: int,
    parallel: int,
    gpus: tuple[int, ...],
    tensor_parallel: int,
    pipeline_parallel: int,
) -> Workload:
    """The user's wishes with everything that was decided filled in."""
    return replace(
        wanted,
        backend=backend,
        backend_version=backend_version,
        context_tokens=context_tokens,
        parallel=parallel,
        parameters=chosen,
        gpus=gpus or None,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
    )


def _key(name: str) -> str:
    return name.replace("_", "-")
