"""Ollama's implementation of the engine interface: llama.cpp's engine in its own server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from modelscan.core.adapter import AdapterCheck
from modelscan.engines.adapter_rules import adapters_refusal
from modelscan.engines.llamacpp.engine import LlamaCpp
from modelscan.engines.ollama import NAME, failures, flags
from modelscan.engines.ollama.container import IMAGES
from modelscan.engines.ollama.hub_name import hub_name
from modelscan.engines.start_lines import line, local_file
from modelscan.engines.support_rules import NATIVE, Support, absent
from modelscan.engines.thinking import effort_switch

if TYPE_CHECKING:
    from modelscan.core.adapter import LoraAdapter
    from modelscan.core.architecture import ModelShape
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.plan import Plan
    from modelscan.core.workload import Workload
    from modelscan.engines.base import EngineFailure
    from modelscan.engines.launch_rules import LaunchQuestion
    from modelscan.engines.option_names import LaunchSettings, OptionPair
    from modelscan.engines.residuals import Residuals

_NO_ADAPTERS = (
    "modelscan passes no adapters to an Ollama server, whose models name adapters in a Modelfile: "
    "use llama.cpp"
)


class Ollama(LlamaCpp):
    """See ``engines.engine.Engine``. Its runner's log is llama.cpp's."""

    name = NAME
    default_port = 11434
    title = "Ollama"
    option_names = flags.NAMES
    log_words = r"\bollama\b"
    log_mark = (
        r"source=\w+\.go:\d+|\[GIN\] |Error: (?:pull model manifest|listen tcp|digest mismatch|"
        r"model (?:requires more system memory|'[^']*' not found))"
    )
    harmless = flags.HARMLESS
    program_setting = None
    preference = 0.06
    offloads_layers = False
    divides_context = False
    own_server = True
    images = IMAGES
    ignores_eos = False  # its OpenAI-compatible path ignores keys that it does not know
    uncached: ClassVar[Mapping[str, Any]] = {}

    def task_support(self, task: str) -> Support:
        if task == "rerank":
            return absent("Ollama has no endpoint for rerankers")
        return super().task_support(task)

    def gpu_support(
        self, quantization: str | None, gpu: Gpu, *, original: bool, version: str | None = None
    ) -> Support:
        if gpu.vendor == "intel":
            return absent("Ollama does not use Intel GPUs")
        return super().gpu_support(quantization, gpu, original=original, version=version)

    def launch_support(self, question: LaunchQuestion) -> Support:
        refusal = adapters_refusal(self, question.shape, question.version)
        if refusal is None and question.workload.adapters:
            refusal = absent(_NO_ADAPTERS)
        own = Support(NATIVE, "Ollama has its own builds of llama.cpp")
        return own if refusal is None else refusal

    def adapter_checks(self, adapter: LoraAdapter, version: str | None) -> Iterable[AdapterCheck]:
        return (AdapterCheck("engine", "fails", _NO_ADAPTERS),)

    def options(self, launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
        return flags.options(launch, workload)

    def environment(self, launch: LaunchSettings, workload: Workload) -> Mapping[str, str]:
        return flags.environment(launch, workload)

    def workload_from_environment(self, workload: Workload, plan: Plan) -> Workload:
        kind, flash = flags.from_environment(plan.env)
        return replace(workload, kv_cache_k=kind, kv_cache_v=kind, flash_attention=flash)

    def estimate(
        self,
        shape: ModelShape,
        workload: Workload,
        inventory: Inventory | None,
        *,
        version: str | None = None,
    ) -> Estimate:
        from modelscan.engines.ollama import memory

        return memory.estimate(shape, workload, inventory, version=version)

    def thinking_switch(self, family: str, on: bool) -> Mapping[str, Any] | None:
        """It ignores ``chat_template_kwargs``."""
        return effort_switch(family, on)

    def start_line(self, plan: Plan) -> str:
        """Its options belong to a request or a Modelfile, so the line has none."""
        name = hub_name(plan)
        if name is None:
            return f"echo 'FROM {local_file(plan)}' > Modelfile && ollama create NAME -f Modelfile"
        return line(("ollama", "run", name), replace(plan, parameters=()))

    def residuals(self, version: str | None, gpus: int) -> Residuals:
        return super().residuals(version, max(1, gpus))

    def reads(self, name: str, value: str | None) -> bool:
        return name in self.option_names.all or name in self.harmless

    def failure(self, log: str) -> EngineFailure | None:
        return failures.failure(log)
