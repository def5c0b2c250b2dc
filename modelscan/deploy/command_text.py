"""The options of ``deploy`` as the command that a user pastes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.remedy import Remedy
    from modelscan.core.workload import Workload
    from modelscan.targets.request import Request


def command(request: Request, remedy: Remedy | None = None) -> str:
    """The request as a command to paste; ``remedy`` overrides its options."""
    return command_of(
        request.model, request.workload, gpu=request.gpu, name=request.name, port=request.port,
        target=None if request.target == "local" else request.target,
        container=(request.runtime, request.image),
        change=remedy.options() if remedy else (),
    )  # fmt: skip


def command_of(
    model: str,
    workload: Workload,
    *,
    gpu: str | None = None,
    name: str | None = None,
    port: int | None = None,
    target: str | None = None,
    container: tuple[str | None, str | None] = (None, None),
    change: tuple[str, ...] = (),
) -> str:
    """``modelscan deploy`` with every option that is not a default; ``change`` overrides some.

    ``container``: the runtime and the image that the user named.
    """
    options = [
        ("--backend", workload.backend), ("--quantization", workload.quantization),
        ("--context", workload.context_tokens), ("--parallel", workload.parallel),
        ("--tensor-parallel", workload.tensor_parallel),
        ("--memory-utilization", workload.memory_utilization),
        ("--backend-version", workload.backend_version),
        ("--kv-cache", _cache_types(workload)),
        ("--flash-attention", workload.flash_attention), ("--ubatch", workload.ubatch),
        ("--goal", None if workload.goal == "quality" else workload.goal),
        ("--mode", None if workload.mode == "standard" else workload.mode),
        ("--source", workload.source),
        *(("--adapter", adapter) for adapter in workload.adapters),
        *(("--param", key if value is None else f"{key}={value}")
          for key, value in workload.parameters),
        ("--gpu", gpu), ("--target", target), ("--name", name), ("--port", port),
        ("--runtime", container[0]), ("--image", container[1]),
    ]  # fmt: skip
    words = ["modelscan", "deploy", model]
    for flag, value in options:
        repeatable = flag in ("--param", "--adapter")
        if value is not None and (repeatable or flag not in change):
            words += [flag, str(value)]
    words += ["--embedding"] if workload.embedding else []
    words += ["--allow-unsafe"] if workload.allow_unsafe else []
    words += ["--force"] if workload.force else []
    return " ".join(map(shlex.quote, [*words, *change]))


def _cache_types(workload: Workload) -> str | None:
    """The value of ``--kv-cache``: one type, or two where keys and values differ."""
    keys, values = workload.kv_cache_k, workload.kv_cache_v
    return keys if values in (None, keys) else f"{keys},{values}"
