"""What engines with a KV pool share: safetensors, tensor parallelism, a Python package."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from modelscan.core.workload import REMOTE_CODE, Workload
from modelscan.engines.adapter_rules import adapters_refusal, rank_refusal
from modelscan.engines.command_line import parse
from modelscan.engines.engine import Engine, PythonPackage, SmallCache
from modelscan.engines.kernels import Kernels
from modelscan.engines.launch_rules import (
    REASONING_PARSER,
    TOOL_PARSER,
    LaunchQuestion,
    architecture_rule,
    dtype_rule,
    float16_rule,
    lora_rule,
    option_rules,
    transcription_rule,
    types_rule,
)
from modelscan.engines.methods import ALLOW_DEPRECATED, Method, load, types_on
from modelscan.engines.option_values import flag
from modelscan.engines.recipe_options import (
    RecipeOptions,
    Recommendation,
    recommended,
    without_drafting,
)
from modelscan.engines.speculation import method_of
from modelscan.engines.start_lines import MODELSCOPE
from modelscan.engines.support_rules import NATIVE, Support, absent, capability
from modelscan.memory.tensor_parallel import reject_reason

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.gpu import Gpu
    from modelscan.core.plan import Plan
    from modelscan.engines.base import Serving
    from modelscan.engines.option_names import LaunchSettings, OptionNames, OptionPair
    from modelscan.engines.parsers import Parsers
    from modelscan.engines.repository_files import RepositoryFiles
    from modelscan.engines.speculation import SpeculativeMethods
    from modelscan.engines.version_tables import VersionFacts
    from modelscan.engines.versions import Version
    from modelscan.memory.split_rules import SplitRules

_MODEL_TYPES = ("auto", "f16", "bf16")  # cache types that mean the model's own


class PoolEngine(Engine):
    """See ``engines.engine.Engine``. ``kernels``: formats its builds run on each GPU;
    ``key_variable``: the environment variable of the server's key. ``modelscope``: the variable
    and its value that make it download from ModelScope.
    """

    formats = ("safetensors",)
    pickles = True
    reserves_pool = True
    splits_tensors = True
    needs_linux = True
    small_cache = SmallCache(  # gsm8k equal within its error; the loss itself is a judgement
        "fp8", 0.002, "https://github.com/vllm-project/vllm/pull/23647"
    )
    kernels: ClassVar[Kernels]
    key_variable: ClassVar[str]
    modelscope: ClassVar[tuple[str, str]]
    package: ClassVar[PythonPackage]

    def gpu_support(
        self, quantization: str | None, gpu: Gpu, *, original: bool, version: str | None = None
    ) -> Support:
        return self.kernels.on(gpu, quantization, original=original, version=version)

    def option_support(self, workload: Workload, version: str | None) -> Support:
        facts = self.kernels.facts(version)
        accepted = Support(NATIVE, f"{self.title} {facts.version} has these options")
        return next(option_rules(self.title, facts, workload), accepted)

    def recommended_options(self, published: Recommendation, workload: Workload) -> RecipeOptions:
        facts = self.kernels.facts(workload.backend_version)
        recipe = recommended(
            published, self.option_names, self.parsers(), facts, unsafe=workload.allow_unsafe
        )
        return self._drafting(recipe, published, facts)

    def _drafting(
        self, recipe: RecipeOptions, published: Recommendation, facts: VersionFacts
    ) -> RecipeOptions:
        """The recipe with its speculative decoding, where this version drafts for the model."""
        methods, option, wanted = self.speculation, self.speculation.OPTION, published.speculation
        value = dict(recipe.options).get(option)
        if value is None and wanted is not None:
            recipe = replace(recipe, options=(*recipe.options, *methods.options(wanted)))
            method: str | None = wanted.method
        else:
            method = method_of(value) if value and value.startswith("{") else value
        problem = methods.problem(method, published.classes, facts) if method else None
        return without_drafting(recipe, option, problem) if problem else recipe

    @property
    @abstractmethod
    def speculation(self) -> SpeculativeMethods:
        """How the engine drafts tokens."""

    @abstractmethod
    def parsers(self) -> Mapping[str, Parsers]:
        """The parsers of each family."""

    def launch_support(self, question: LaunchQuestion) -> Support:
        facts = self.kernels.facts(question.version)
        for refusal in self._refusals(question, facts):
            if refusal is not None and not refusal:
                return refusal
        notes = (facts.note,) if facts.note else ()
        return Support(NATIVE, f"{self.title} {facts.version} starts it", notes)

    def _refusals(self, question: LaunchQuestion, facts: VersionFacts) -> Iterator[Support | None]:
        """What the engine checks, in its order; support and None are no objections."""
        architecture = question.shape.architecture
        yield architecture_rule(self.title, facts, self.listed_names(architecture))
        yield transcription_rule(self.title, facts, question)
        yield lora_rule(self.title, facts, question)
        yield adapters_refusal(self, question.shape, question.version)
        yield rank_refusal(question.shape, question.workload)
        yield dtype_rule(self.title, question)
        yield float16_rule(self.title, facts, question)
        yield from self.further_rules(question)
        yield from (self._stored(question, gpu) for gpu in question.gpus[:1])
        yield self._types(question, facts)
        yield self.context_rule(question, facts)
        yield self._split(question)

    def further_rules(self, question: LaunchQuestion) -> Iterator[Support | None]:
        """What this engine alone checks."""
        return iter(())

    def _split(self, question: LaunchQuestion) -> Support | None:
        """A degree that does not divide the model; with the versions that divide it otherwise."""
        architecture, degree = question.shape.architecture, question.tensor_parallel
        reason = reject_reason(architecture, degree, self.split_rules(question))
        if reason is None:
            return None
        table = self.kernels.facts(question.version).table
        newest = replace(question.workload, backend_version=table.versions[-1])
        rules = self.split_rules(replace(question, workload=newest))
        if reject_reason(architecture, degree, rules) is None:
            reason += f"; {self.title} {table.versions[-1]} makes the blocks of experts smaller"
        return absent(reason)

    def _stored(self, question: LaunchQuestion, gpu: Gpu) -> Support | None:
        """The checkpoint's own method on the GPU, where its configuration states one."""
        stored = question.shape.architecture.checkpoint.quantization
        if stored is None:
            return None
        return self.kernels.on(
            gpu,
            question.shape.architecture.quantization,
            original=question.original,
            version=question.version,
            stored=stored,
            deprecated=flag(question.workload, ALLOW_DEPRECATED),
        )

    def _types(self, question: LaunchQuestion, facts: VersionFacts) -> Support | None:
        architecture = question.shape.architecture
        stored = architecture.checkpoint.quantization
        method = load(self.kernels.methods, facts, architecture.quantization, stored)
        if not isinstance(method, Method):
            return None
        types = method.types
        if not question.workload.parameter("quantization"):  # as stated: no other one replaces it
            current = next((capability(gpu.compute_capability) for gpu in question.gpus), None)
            types = types_on(self.kernels.methods, facts, method, stored, current)
        return types_rule(self.title, facts.version, question, method.name, types)

    def listed_names(self, architecture: Architecture) -> tuple[str, ...]:
        """The names by which the engine's registry may list the model's classes."""
        return architecture.checkpoint.classes

    @abstractmethod
    def context_rule(self, question: LaunchQuestion, facts: VersionFacts) -> Support | None:
        """A refusal of a context beyond what the model's configuration gives."""

    @abstractmethod
    def split_rules(self, question: LaunchQuestion) -> SplitRules:
        """What the version does not divide among tensor-parallel ranks."""

    def host_support(self, file_format: str, *, forced: bool) -> Support:
        loads = file_format in ("safetensors", "pickle")
        if forced and self.package.cpu_builds and loads:
            return Support(NATIVE, f"a {self.title} built for the CPU, as requested with --force")
        return absent(f"{self.name} needs a GPU")

    @abstractmethod
    def arguments(self, plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
        """The command line of that version, without the program."""

    def image_version(self, requested: str | None) -> str | None:
        return requested or self.kernels.facts(None).version

    def container_program(self, version: str | None, *, keyed: bool) -> tuple[str, ...]:
        """The program inside an official image, whatever the image's own entry point is."""
        own = self.keyed_program("python3") if keyed else None
        return own or ("python3", "-m", self.package.modules[0])

    def process_environment(self, plan: Plan) -> Mapping[str, str]:
        """Variables in addition to the plan's own."""
        return {}

    def repository_options(
        self, files: RepositoryFiles, task: str, version: Version
    ) -> Iterable[OptionPair]:
        """Options that the weights' own files need."""
        return ()

    def template_options(
        self, files: RepositoryFiles, plan: Plan, version: str | None
    ) -> Iterable[OptionPair]:
        """The parsers of a downloaded chat template, where the plan has none."""
        given = {name for name, _ in parse(plan.parameters)}
        if files.template is None or given & {TOOL_PARSER, REASONING_PARSER}:
            return ()
        names, classes = (plan.model, plan.repo), files.architectures
        published = Recommendation((), (), names, classes, plan.task, template=files.template)
        facts = self.kernels.facts(version)
        return recommended(
            published, self.option_names, self.parsers(), facts, unsafe=False
        ).options

    def hub_environment(self, plan: Plan) -> dict[str, str]:
        """Variables for the hub that the plan's repository is on, where the server downloads it."""
        return dict([self.modelscope]) if plan.source == MODELSCOPE else {}

    def keyed_program(self, python: str) -> tuple[str, ...] | None:
        """The server's command if its key cannot come from a variable; None if it can."""
        return None


def common_options(names: OptionNames, launch: LaunchSettings) -> Iterable[OptionPair]:
    """Context, memory share, degrees and slots, in the spelling of ``names``.

    A transcription's context is the model's own: 448 tokens of text for 30 seconds of Whisper. So
    is a context that is not set for a model of unknown length.
    """
    if launch.task != "speech_to_text" and not launch.unknown_context:
        yield names.context[0], str(launch.context_tokens)
    if launch.memory_utilization is not None:
        yield names.memory_share[0], f"{launch.memory_utilization:g}"
    if launch.tensor_parallel > 1:
        yield names.tensor_parallel[0], str(launch.tensor_parallel)
    if launch.pipeline_parallel > 1:
        yield names.pipeline_parallel[0], str(launch.pipeline_parallel)
    if launch.parallel is not None:
        yield names.max_requests[0], str(launch.parallel)


def cache_type(workload: Workload) -> str | None:
    """The requested type of the KV cache; None for the model's own."""
    kind = workload.kv_cache_k
    return kind if kind and kind not in _MODEL_TYPES else None


def serves_vectors(launch: LaunchSettings, workload: Workload) -> bool:
    """Whether embeddings or scores are served instead of text."""
    return launch.task in ("embedding", "rerank") or bool(workload.embedding)


def remote_code(workload: Workload) -> Iterable[OptionPair]:
    """The option that runs the Python files of the repository, if the user allows it."""
    if workload.allow_unsafe:
        yield REMOTE_CODE, None
