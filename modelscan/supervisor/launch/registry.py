"""The engines that run on this machine. Adding one is a module and a line here."""

from __future__ import annotations

import importlib

from modelscan.core.errors import NotDeployableError
from modelscan.engines.base import Engine

DEFAULT = "llama.cpp"
ENGINES = {
    "llama.cpp": "modelscan.supervisor.launch.llamacpp:LlamaCpp",
    "vllm": "modelscan.supervisor.launch.vllm:Vllm",
    "sglang": "modelscan.supervisor.launch.sglang:SgLang",
}
# The setting that names an engine's program or Python.
PROGRAM_SETTINGS = {"llama.cpp": "llama_server", "vllm": "vllm", "sglang": "sglang"}


def engine(name: str) -> Engine:
    """The engine of that name; raises NotDeployableError where this machine cannot start it."""
    target = ENGINES.get(name)
    if target is None:
        raise NotDeployableError(
            f"modelscan cannot start {name} on this machine (it starts {', '.join(ENGINES)})",
            hint="modelscan deploy MODEL --backend llama.cpp",
            code="backend_not_startable",
            details={"backend": name, "startable": list(ENGINES)},
        )
    module, _, attribute = target.partition(":")
    found: Engine = getattr(importlib.import_module(module), attribute)()
    return found
