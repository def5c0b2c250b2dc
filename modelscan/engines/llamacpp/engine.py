"""llama.cpp's implementation of the engine interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from modelscan.engines.adapter_rules import adapters_refusal, format_check
from modelscan.engines.container import ContainerImages
from modelscan.engines.engine import Engine, SmallCache
from modelscan.engines.llamacpp import NAME, flags
from modelscan.engines.llamacpp.container import IMAGES
from modelscan.engines.llamacpp.given import canonical
from modelscan.engines.residuals import Residuals
from modelscan.engines.start_lines import line, local_file
from modelscan.engines.support_rules import (
    NATIVE,
    Drawback,
    Support,
    absent,
    gguf_on,
    idle_units,
)

if TYPE_CHECKING:
    from modelscan.core.adapter import AdapterCheck, LoraAdapter
    from modelscan.core.architecture import ModelShape
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.plan import Plan
    from modelscan.core.workload import Workload
    from modelscan.engines.base import EngineFailure
    from modelscan.engines.launch_rules import LaunchQuestion
    from modelscan.engines.log_fields import LogFigures
    from modelscan.engines.option_names import LaunchSettings, OptionPair

_MIB = 1 << 20
# On a host: compute is the 99th percentile over 978 dry runs (the 95th is 0.033 %), the floor what
# the serving process allocates beyond its buffers (35 MB observed). On GPUs few logs exist.
_ON_HOST = Residuals(compute=0.035, weights=0.007, kv=0.0, floor_bytes=40 * _MIB)
_ON_GPU = Residuals(compute=0.10, weights=0.007, kv=0.0, floor_bytes=256 * _MIB)


class LlamaCpp(Engine):
    """See ``engines.engine.Engine``."""

    name = NAME
    default_port = 8080
    title = "llama.cpp"
    formats = ("gguf",)
    option_names = flags.NAMES
    log_words = (
        r"\b(?:llama_|ggml_|gguf_|GGML_)\w+|\bsrv +\w+|llama-server|ggml-\w+\.\w+:\d|"
        r"^build: \d+ \(|\bvk::\w+|\bcurl_perform\w*: |"
        r"\bcommon_\w+: |^error while handling argument \"|"
        r"^error: (?:invalid|unknown) argument: -"
    )
    harmless = flags.HARMLESS
    program_setting: ClassVar[str | None] = "llama_server"
    caps_context = True
    preference = 0.03
    small_cache = SmallCache(  # perplexity 6.2344 against 6.2322 with F16 weights, Llama-3-8B
        "q8_0", 0.00035, "https://github.com/ggml-org/llama.cpp/pull/7412"
    )
    offloads_layers = True
    divides_context = True
    owned = flags.OWNED
    owned_variables = flags.OWNED_VARIABLES
    switches = flags.SWITCHES
    comma_lists = flags.COMMA_LISTS
    images: ClassVar[ContainerImages | None] = IMAGES
    ignores_eos: ClassVar[bool] = True
    uncached: ClassVar[Mapping[str, Any]] = {"cache_prompt": False}

    def drawback(self, gpu: Gpu) -> Drawback | None:
        return idle_units(gpu, self.title)

    def gpu_support(
        self, quantization: str | None, gpu: Gpu, *, original: bool, version: str | None = None
    ) -> Support:
        return gguf_on(gpu, self.name)

    def launch_support(self, question: LaunchQuestion) -> Support:
        from modelscan.engines.llamacpp.support import architecture_refusal, device_refusal

        refusal = architecture_refusal(question.shape.architecture, question.version)
        if refusal is None:
            refusal = adapters_refusal(self, question.shape, question.version)
        if refusal is None:
            refusal = device_refusal(question.workload, len(question.gpus))
        return Support(NATIVE, f"{self.name} reads it") if refusal is None else refusal

    def adapter_checks(self, adapter: LoraAdapter, version: str | None) -> Iterable[AdapterCheck]:
        """Any rank of plain LoRA, converted; what a conversion cannot express it does not have."""
        return (format_check(adapter, "gguf", self.title),)

    def host_support(self, file_format: str, *, forced: bool) -> Support:
        if file_format in self.formats:
            return Support(NATIVE, f"{self.name} runs on the CPU")
        return absent(f"{self.name} needs a GPU")

    def options(self, launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
        return flags.options(launch, workload)

    def estimate(
        self,
        shape: ModelShape,
        workload: Workload,
        inventory: Inventory | None,
        *,
        version: str | None = None,
    ) -> Estimate:
        from modelscan.engines.llamacpp import memory

        return memory.estimate(shape, workload, inventory, version=version)

    def start_line(self, plan: Plan) -> str:
        if plan.source != "huggingface":
            return line(("llama-server", "-m", local_file(plan)), plan)
        file = ("-hff", plan.files[0]) if plan.files else ()
        return line(("llama-server", "-hf", plan.repo, *file), plan)

    def reads(self, name: str, value: str | None) -> bool:
        from modelscan.engines.llamacpp.options import OPTIONS

        long = canonical(name)  # an unknown option has a warning of its own
        default = long == "split-mode" and value == "layer"
        return long not in OPTIONS or default or super().reads(long, value)

    def residuals(self, version: str | None, gpus: int) -> Residuals:
        return _ON_GPU if gpus else _ON_HOST

    def parse_log(self, text: str) -> LogFigures:
        from modelscan.engines.llamacpp import log

        return log.parse(text)

    def measured(self, log: str) -> Mapping[str, Any] | None:
        from modelscan.engines.llamacpp.log import measured

        return measured(log)

    def failure(self, log: str) -> EngineFailure | None:
        from modelscan.engines.llamacpp.failures import failure

        return failure(log)
