"""The user's wishes for a deployment: the options that estimate, plan and deploy share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Backend = Literal["llama.cpp", "vllm", "sglang", "ollama", "voxbox"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
CLUSTER_ONLY: frozenset[Backend] = frozenset({"voxbox"})  # engines that only GPUStack starts
GOALS = ("quality", "speed", "context")
MODES = ("standard", "throughput", "latency")
REMOTE_CODE = "trust-remote-code"  # vLLM and SGLang: run the Python files of the repository
SOURCES = ("huggingface", "modelscope", "local_path")


@dataclass(frozen=True, slots=True)
class Workload:
    """None = not set: the planner or the engine's default decides.

    ``context_tokens`` is per request, ``parallel`` the number of requests served at once.
    ``parameters`` are the engine's own long options without dashes, in order; a bare flag has the
    value None. The last one of a name wins.
    """

    quantization: str | None = None
    backend: Backend | None = None
    backend_version: str | None = None
    context_tokens: int | None = None
    parallel: int | None = None
    kv_cache_k: str | None = None
    kv_cache_v: str | None = None
    flash_attention: str | None = None  # on | off | auto
    ubatch: int | None = None
    embedding: bool | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    gpus: tuple[int, ...] | None = None
    memory_utilization: float | None = None
    goal: str = "quality"
    mode: str = "standard"
    source: str | None = None
    adapters: tuple[str, ...] = ()
    force: bool = False
    allow_unsafe: bool = False  # pickle files, and code that a repository brings

    def parameter(self, name: str) -> str | None:
        """The value of an engine option (last wins); "true" for a bare flag, None if not set."""
        if not self.parameters:
            return None
        flag = name.replace("_", "-")
        for key, value in reversed(self.parameters):
            if key == flag or ("_" in key and key.replace("_", "-") == flag):
                return "true" if value is None else value
        return None
