"""A request of ``deploy`` as the command that a user pastes."""

from __future__ import annotations

import shlex

from modelscan.core.remedy import Remedy
from modelscan.core.workload import Workload
from modelscan.targets.request import Request


def command(request: Request, remedy: Remedy = Remedy()) -> str:
    """The request as a command to paste, with the change over it."""
    wanted = request.workload
    asked = [
        ("--backend", wanted.backend), ("--quantization", wanted.quantization),
        ("--context", wanted.context_tokens), ("--parallel", wanted.parallel),
        ("--tensor-parallel", wanted.tensor_parallel),
        ("--memory-utilization", wanted.memory_utilization),
        ("--backend-version", wanted.backend_version),
        ("--kv-cache", _cache_types(wanted)),
        ("--flash-attention", wanted.flash_attention), ("--ubatch", wanted.ubatch),
        ("--goal", None if wanted.goal == "quality" else wanted.goal),
        ("--mode", None if wanted.mode == "standard" else wanted.mode),
        ("--source", wanted.source),
        *(("--adapter", name) for name in wanted.adapters),
        *(("--param", key if value is None else f"{key}={value}")
          for key, value in wanted.parameters),
        ("--gpu", request.gpu), ("--name", request.name), ("--port", request.port),
    ]  # fmt: skip
    change = remedy.options()
    words = ["modelscan", "deploy", request.model]
    for flag, value in asked:
        repeatable = flag in ("--param", "--adapter")
        if value is not None and (repeatable or flag not in change):
            words += [flag, str(value)]
    words += ["--embedding"] if wanted.embedding else []
    words += ["--allow-unsafe"] if wanted.allow_unsafe else []
    words += ["--force"] if wanted.force else []
    return " ".join(map(shlex.quote, [*words, *change]))


def _cache_types(wishes: Workload) -> str | None:
    """``--kv-cache``: of keys, and of values where they have another type."""
    keys, values = wishes.kv_cache_k, wishes.kv_cache_v
    return keys if values in (None, keys) else f"{keys},{values}"
