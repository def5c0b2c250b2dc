"""SGLang's implementation of the engine interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from modelscan.engines.engine import PythonPackage, Wheels
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.sglang import NAME, command, flags
from modelscan.engines.sglang.container import IMAGES
from modelscan.engines.sglang.support import KERNELS, online_method
from modelscan.engines.sglang.versions import RESIDUALS
from modelscan.engines.start_lines import line
from modelscan.engines.support_rules import old_kernels

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
    from modelscan.engines.residuals import Residuals
    from modelscan.engines.speculation import SpeculativeMethods
    from modelscan.engines.support_rules import Drawback, Support
    from modelscan.engines.version_tables import VersionFacts
    from modelscan.engines.versions import Version
    from modelscan.memory.split_rules import SplitRules


class SgLang(PoolEngine):
    """See ``engines.engine.Engine``."""

    name = NAME
    default_port = 30000
    title = "SGLang"
    option_names = flags.NAMES
    log_words = r"\bsglang\b|\bSGLang\b|ServerArgs|mem[-_]fraction[-_]static"
    harmless = flags.HARMLESS
    owned = flags.OWNED
    abbreviates = True  # argparse
    program_setting = NAME
    preference = 0.02
    ignores_eos = True
    recipe_tasks = ("speech_to_text",)  # /v1/audio/transcriptions, of the classes in the tables
    kernels = KERNELS
    key_variable = command.KEY_VARIABLE
    modelscope = ("SGLANG_USE_MODELSCOPE", "true")
    images = IMAGES
    package = PythonPackage(
        modules=("sglang.launch_server",),
        distributions=("sglang", "sglang-cpu"),
        wheels=(Wheels("nvidia", NAME, "0.5.23", 4_344_659_747, 9_947_721_665, toolkit="13.1"),),
    )

    def drawback(self, gpu: Gpu) -> Drawback | None:
        return old_kernels(gpu, self.title)

    def start_line(self, plan: Plan) -> str:
        program = ("python3", "-m", "sglang.launch_server", "--model-path", plan.repo)
        return line(program, plan, self.hub_environment(plan))

    def online_quantization(
        self, quantization: str | None, version: str | None
    ) -> OnlineMethod | None:
        return online_method(quantization, version)

    def options(self, launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
        return flags.options(launch, workload)

    def adapter_checks(self, adapter: LoraAdapter, version: str | None) -> Iterable[AdapterCheck]:
        from modelscan.engines.sglang import adapters

        return adapters.adapter_checks(adapter, version)

    def adapter_options(
        self, adapters: Iterable[LoraAdapter], version: str | None
    ) -> Iterable[OptionPair]:
        from modelscan.engines.sglang.adapters import adapter_options

        return adapter_options(adapters)

    def context_rule(self, question: LaunchQuestion, facts: VersionFacts) -> Support | None:
        from modelscan.engines.sglang.context import context_rule

        return context_rule(question.shape.architecture, question.workload, facts)

    def longest_context(self, architecture: Architecture, workload: Workload) -> int | None:
        from modelscan.engines.sglang.context import longest

        return longest(architecture, workload)

    @property
    def speculation(self) -> SpeculativeMethods:
        from modelscan.engines.sglang import speculation

        return speculation

    def parsers(self) -> Mapping[str, Parsers]:
        from modelscan.engines.sglang.parsers import PARSERS

        return PARSERS

    def split_rules(self, question: LaunchQuestion) -> SplitRules:
        from modelscan.engines.sglang.shapes import split_rules

        degree = question.tensor_parallel
        return split_rules(question.shape.architecture, question.workload, degree)

    def whole_experts(self, degree: int, version: str | None) -> Options:
        from modelscan.engines.sglang.shapes import EXPERT_PARALLEL

        has = self.kernels.facts(version).has("flag", EXPERT_PARALLEL)
        return ((EXPERT_PARALLEL, str(degree)),) if has else ()

    def estimate(
        self,
        shape: ModelShape,
        workload: Workload,
        inventory: Inventory | None,
        *,
        version: str | None = None,
    ) -> Estimate:
        from modelscan.engines.sglang import memory

        return memory.estimate(shape, workload, inventory, version=version)

    def reads(self, name: str, value: str | None) -> bool:
        if name == "speculative-algorithm":  # a draft model's own memory is not modelled
            return (value or "").upper() in ("NEXTN", "NGRAM")
        return super().reads(name, value)

    def residuals(self, version: str | None, gpus: int) -> Residuals:
        return RESIDUALS

    def parse_log(self, text: str) -> LogFigures:
        from modelscan.engines.sglang import log

        return log.parse(text)

    def measured(self, log: str) -> Mapping[str, Any] | None:
        from modelscan.engines.sglang.log import measured

        return measured(log)

    def with_metrics(
        self, current: Mapping[str, Any] | None, text: str
    ) -> Mapping[str, Any] | None:
        from modelscan.engines.sglang.log import with_metrics

        return with_metrics(current, text)

    def failure(self, log: str) -> EngineFailure | None:
        from modelscan.engines.sglang.failures import failure

        return failure(log)

    def arguments(self, plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
        return command.arguments(plan, serving, version)

    def keyed_program(self, python: str) -> tuple[str, ...] | None:
        return command.keyed_program(python)
