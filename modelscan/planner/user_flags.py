"""Options that the user named (``--param``): whose they are, and the context they ask for."""

from __future__ import annotations

from dataclasses import replace

from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.engines.option_values import flag, share, whole

_SERVING = ("kv-cache-dtype", "tensor-parallel-size", "cpu-offload-gb", "dtype", "enable-lora")
# The options that change what an engine allocates, as the estimators read them. One that is not
# here may be anybody's.
_OWN = {
    "llama.cpp": (
        "ctx-size", "c", "parallel", "np", "batch-size", "b", "ubatch-size", "ub", "kv-unified",
        "kvu", "swa-full", "cache-type-k", "ctk", "cache-type-v", "ctv", "flash-attn", "fa",
        "n-gpu-layers", "gpu-layers", "ngl", "n-cpu-moe", "ncmoe", "cpu-moe", "cmoe",
        "tensor-split", "ts", "no-kv-offload", "nkvo",
    ),
    "vllm": (
        *_SERVING, "max-model-len", "gpu-memory-utilization", "max-num-seqs",
        "max-num-batched-tokens", "enforce-eager", "kv-cache-memory-bytes",
        "num-gpu-blocks-override", "pipeline-parallel-size", "max-loras", "max-lora-rank",
        "decode-context-parallel-size", "disable-hybrid-kv-cache-manager",
        "max-cudagraph-capture-size", "mamba-ssm-cache-dtype", "no-enable-prefix-caching",
    ),
    "sglang": (
        *_SERVING, "context-length", "mem-fraction-static", "max-running-requests",
        "max-total-tokens", "chunked-prefill-size", "cuda-graph-max-bs", "disable-cuda-graph",
        "tp-size", "tp", "pp-size", "page-size", "mamba-full-memory-ratio",
        "max-mamba-cache-size", "swa-full-tokens-ratio", "disable-hybrid-swa-memory",
    ),
    "ollama": (
        "num-ctx", "num-gpu", "num-batch", "ollama-context-length", "ollama-kv-cache-type",
        "ollama-num-parallel",
    ),
}  # fmt: skip


_DEGREES = ("tensor-parallel-size", "tp-size", "tp", "pipeline-parallel-size", "pp-size")


def without_degree(workload: Workload) -> Workload:
    """The workload without the number of GPUs that was asked for, by option or by name."""
    kept = tuple(
        (name, value) for name, value in workload.parameters
        if name.replace("_", "-") not in _DEGREES
    )  # fmt: skip
    return replace(workload, tensor_parallel=None, pipeline_parallel=None, parameters=kept)


def flag_of_other_engine(workload: Workload, backend: str) -> str | None:
    """The first named option that only other engines have, as a reason; None if there is none."""
    for name, _ in workload.parameters:
        owners = [owner for owner, names in _OWN.items() if name.replace("_", "-") in names]
        if owners and backend not in owners:
            return f"--{name} is an option of {' and '.join(owners)}, not of {backend}"
    return None


def apply_user_flags(workload: Workload) -> Workload:
    """The workload with what named options say of context, slots, GPUs and share of the memory.

    Raises UsageError where ``--context`` says something else.
    """
    if not workload.parameters:
        return workload
    return _with_context(
        replace(
            workload,
            parallel=workload.parallel or whole(workload, "parallel", "np"),
            tensor_parallel=workload.tensor_parallel or whole(workload, *_DEGREES[:3]),
            pipeline_parallel=workload.pipeline_parallel or whole(workload, *_DEGREES[3:]),
            memory_utilization=share(workload, "gpu-memory-utilization")
            or share(workload, "mem-fraction-static"),
        )
    )


def _with_context(workload: Workload) -> Workload:
    named = whole(workload, "max-model-len", "context-length", "num-ctx") or _of_slot(workload)
    if named is None:
        return workload
    asked = workload.context_tokens
    if asked not in (None, named):
        raise UsageError(
            f"--context {asked} and a --param for {named} tokens say different things",
            hint=f"leave the --param out, or write --context {named}",
        )
    return replace(workload, context_tokens=named)


def _of_slot(workload: Workload) -> int | None:
    """What llama.cpp's ``--ctx-size`` leaves for one request."""
    size = whole(workload, "ctx-size") or whole(workload, "c")
    if size is None or flag(workload, "kv-unified") or flag(workload, "kvu"):
        return size
    return max(1, size // (workload.parallel or 1))
