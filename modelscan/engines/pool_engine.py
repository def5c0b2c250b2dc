"""What engines with a KV pool share: safetensors, tensor parallelism, a Python package."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from modelscan.core.workload import REMOTE_CODE, Workload
from modelscan.engines.engine import Engine, PythonPackage, SmallCache
from modelscan.engines.support_rules import NATIVE, Kernels, Support, absent

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu
    from modelscan.core.plan import Plan
    from modelscan.engines.base import Serving
    from modelscan.engines.option_names import LaunchSettings, OptionNames, OptionPair
    from modelscan.engines.repository_files import RepositoryFiles
    from modelscan.engines.versions import Version

_MODEL_TYPES = ("auto", "f16", "bf16")  # cache types that mean the model's own


class PoolEngine(Engine):
    """See ``engines.engine.Engine``. ``kernels``: formats its builds run on each GPU;
    ``key_variable``: the environment variable of the server's key.
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
    package: ClassVar[PythonPackage]

    def gpu_support(self, quantization: str | None, gpu: Gpu, *, original: bool) -> Support:
        return self.kernels.on(gpu, quantization, original=original)

    def host_support(self, file_format: str, *, forced: bool) -> Support:
        loads = file_format in ("safetensors", "pickle")
        if forced and self.package.cpu_builds and loads:
            return Support(NATIVE, f"a {self.title} built for the CPU, as requested with --force")
        return absent(f"{self.name} needs a GPU")

    @abstractmethod
    def arguments(self, plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
        """The command line of that version, without the program."""

    def process_environment(self, plan: Plan) -> Mapping[str, str]:
        """Variables in addition to the plan's own."""
        return {}

    def repository_options(
        self, files: RepositoryFiles, task: str, version: Version
    ) -> Iterable[OptionPair]:
        """Options that the weights' own files need."""
        return ()

    def keyed_program(self, python: str) -> tuple[str, ...] | None:
        """The server's command if its key cannot come from a variable; None if it can."""
        return None


def common_options(names: OptionNames, launch: LaunchSettings) -> Iterable[OptionPair]:
    """Context, memory share, degrees and slots, in the spelling of ``names``.

    A transcription's context is the model's own: 448 tokens of text for 30 seconds of Whisper. So
    is a context that nobody set for a model of unknown length.
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
