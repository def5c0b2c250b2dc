"""vLLM as an engine: its options by version, its environment.

Sources: vLLM's release notes and ``vllm serve --help`` of 0.32.0; older spellings from published
start-up logs (0.6 to 0.28), which print the arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from modelscan.core.plan import Plan
from modelscan.core.units import GIB
from modelscan.engines.base import Serving
from modelscan.engines.command_line import (
    Option,
    Rename,
    adapters,
    model_folder,
    parse,
    renamed,
    render,
    with_defaults,
)
from modelscan.engines.versions import Version
from modelscan.supervisor.launch import vllm_repository as repository
from modelscan.supervisor.launch.python_engine import PythonEngine

NAME = "vllm"
KEY_VARIABLE = "VLLM_API_KEY"
_QUIET_LOG = (0, 10, 1)  # from here on prompts are logged only on --enable-log-requests
_MIN_CPU_POOL_GIB = 1


def _pooling(value: str | None) -> tuple[Option, ...]:
    return (("runner", "generate" if value == "generate" else "pooling"),)


# From the version named, the option of that name is spelled another way or gone.
RENAMES = (
    Rename("task", (0, 10, 0), _pooling),
    Rename("disable-log-requests", _QUIET_LOG, lambda _: ()),
)


class Vllm(PythonEngine):
    """See ``engines.base.Engine``."""

    name = NAME

    def options(self, plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
        own: list[Option] = [
            ("model", model_folder(serving.model_file)),
            ("served-model-name", serving.served_model),
            ("host", serving.host),
            ("port", str(serving.port)),
        ]
        planned = [one for one in parse(plan.parameters) if plan.gpus or one[0] != _UTILIZATION]
        given = renamed(planned, version, RENAMES)
        named = adapters(plan.adapters, serving.adapter_files)
        lora = ("--lora-modules", *named) if named else ()
        return (*render([*own, *with_defaults(given, _defaults(plan, version))]), *lora)

    def repository_options(self, plan: Plan, serving: Serving, version: Version) -> list[Option]:
        folder = Path(model_folder(serving.model_file))
        named = adapters(plan.adapters, serving.adapter_files)
        return list(repository.options(folder, plan.task, named, version))

    def environment(self, plan: Plan) -> Mapping[str, str]:
        """``VLLM_HOST_IP``: its own rendezvous stays on loopback."""
        env = {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1"}
        if not plan.gpus:
            wanted = -(-plan.estimate.parts.kv_cache_bytes // GIB)
            env["VLLM_CPU_KVCACHE_SPACE"] = str(max(_MIN_CPU_POOL_GIB, wanted))
        return env

    def key_variable(self) -> str:
        return KEY_VARIABLE


_UTILIZATION = "gpu-memory-utilization"  # means nothing on a CPU, where the pool is fixed


def _defaults(plan: Plan, version: Version) -> Iterator[Option]:
    """Without ``--allowed-origins`` any web page in the user's browser could read answers."""
    yield "allowed-origins", "[]"
    yield "max-model-len", str(plan.context_tokens)
    if version < _QUIET_LOG:
        yield "disable-log-requests", None
