"""The planner's answer: how to run a model on a machine, or why it cannot run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate, Parts
from modelscan.core.model import Model, Variant
from modelscan.core.verdict import FitState, Offload, SupportKind, Verdict
from modelscan.core.workload import Backend

QualityBasis = Literal["measured", "original", "upcast", "interpolated", "unknown"]
Publisher = Literal["maker", "evaluator", "known", "other"]
"""Of weights: the model's makers (or the user's own choice), a publisher of many quantizations
with documented methods, or anybody else."""
MissingKind = Literal["engine", "download", "file_list", "repository", "architecture", "size"]


@dataclass(frozen=True, slots=True)
class QualityMeasurement:
    """A weight format compared with another one of the same model, on this machine.

    ``kl_divergence``: nats per token, a mean over ``positions`` of one text, with a 95 % interval;
    ``agreement``: the share of positions with the same most probable token. ``models``: the ids and
    names by which the model is known; ``eval_id``: the stored measurement.
    """

    models: tuple[str, ...]
    reference: str  # the format that counts as right
    quantization: str
    kl_divergence: float
    kl_lower: float
    kl_upper: float
    agreement: float
    positions: int
    parameters: int | None  # of the model: another size of the same name is another model
    text_sha256: str
    backend: str | None
    measured_at: str  # RFC 3339 UTC
    eval_id: str


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality loss of a quantization: ``loss`` = ln(perplexity / perplexity of the original).

    ``basis``: measured (``source`` names the publication, ``model`` the model; ``measurement`` is
    there if this machine measured it)

    original (published in this format)

    upcast (published in fewer bits: nothing is lost and nothing gained)

    interpolated (by bits per weight between measurements)

    unknown.
    """

    loss: float
    basis: QualityBasis
    source: str | None = None
    model: str | None = None
    kl_divergence: float | None = None
    measurement: QualityMeasurement | None = None


class Candidate:
    """A variant of the model with its shape, as input of the estimator.

    ``shape`` may be a function, which is called on first access: a model has dozens of variants,
    and most are ruled out by ``floor_bytes``, a lower bound of their weights (None: unknown).
    ``online``: the files are wider, an engine quantizes them while it loads them.
    """

    __slots__ = ("_shape", "floor_bytes", "online", "publisher", "quality", "variant")

    def __init__(
        self,
        variant: Variant,
        shape: ModelShape | Callable[[], ModelShape],
        quality: Quality | None = None,
        floor_bytes: int | None = None,
        publisher: Publisher = "maker",
        online: bool = False,
    ) -> None:
        self.variant = variant
        self.publisher = publisher
        self.online = online
        self.quality = quality
        self.floor_bytes = floor_bytes
        self._shape = shape

    @property
    def shape(self) -> ModelShape:
        """The shape and bytes of this variant."""
        if not isinstance(self._shape, ModelShape):
            self._shape = self._shape()
        return self._shape


@dataclass(frozen=True, slots=True)
class ReservedMemory:
    """Memory promised to another deployment that the probe does not show yet.

    ``index`` is a device's index, None the host.
    """

    index: int | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What MODEL refers to, with all variants the planner may choose from."""

    id: str
    name: str
    task: str  # chat | embedding | rerank | ...
    candidates: tuple[Candidate, ...]
    model: Model | None = None
    closed: bool = False
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # hub queries for this answer, and their results
    alternatives: tuple[str, ...] = ()  # similar open models, if ``closed``
    unlisted: tuple[str, ...] = ()  # repositories with GGUF files whose names are unknown
    unsearched: bool = False  # no GGUF repository is known, and no hub was queried for one
    unsized: tuple[str, ...] = ()  # repositories of which neither bytes nor parameters are known
    other_formats: tuple[str, ...] = ()  # formats of its weights that no engine loads: mlx, onnx …
    chat_template: str | None = None  # of the repository's own files, where they are at hand
    registered: str | None = None  # SLUG@VERSION of the registry that these weights are


@dataclass(frozen=True, slots=True)
class Plan:
    """A launch that fits. ``gpus`` are device indices ((), with llama.cpp: CPU).

    ``parameters`` are the engine's launch flags exactly as passed. ``files_expected``: ``files``
    are predicted from the publisher's naming; the repository's own list decides at the download.
    """

    model: str
    quantization: str | None
    backend: Backend
    backend_version: str | None
    source: str  # huggingface | modelscope | local_path
    repo: str  # repository, or the path for local_path
    files: tuple[str, ...]
    gpus: tuple[int, ...]
    tensor_parallel: int
    pipeline_parallel: int
    context_tokens: int
    parallel: int
    parameters: tuple[str, ...]
    env: Mapping[str, str]
    estimate: Estimate
    reasons: tuple[str, ...]
    task: str = "chat"
    format: str = "gguf"
    revision: str | None = None
    worker: str | None = None
    adapters: tuple[str, ...] = ()
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    support: SupportKind = "native"
    offload: Offload = "none"
    within_margin: bool = False  # it fits, but an error as large as the margin would make it fail
    files_expected: bool = False
    quality: Quality | None = None  # of the quantization; None if nothing is known of it

    def _repr_html_(self) -> str:
        """The estimate's memory bars and the reasons, for notebooks."""
        from modelscan.core.html import paragraphs

        return self.estimate._repr_html_() + paragraphs(self.reasons)


@dataclass(frozen=True, slots=True)
class ContextTier:
    """A plan at another context length; ``tokens_per_s`` of one request, None where it does not
    fit. ``parts``, ``device_bytes``, ``budget_bytes`` and ``free_bytes`` are those of the fullest
    device, ``margin_bytes`` its share of the margin.
    """

    context_tokens: int
    total_bytes: int
    kv_cache_bytes: int
    verdict: Verdict
    tokens_per_s: float | None
    state: FitState = "fits"
    device_bytes: int = 0
    margin_bytes: int = 0
    budget_bytes: int | None = None
    free_bytes: int | None = None
    parts: Parts = field(default_factory=Parts)


@dataclass(frozen=True, slots=True)
class CacheCurve:
    """Context against memory for one type of KV cache (``auto``: the model's own).

    ``max_context_tokens``: the longest context that fits with the margin, at most the trained one;
    None: none of at least 1,024 tokens does.
    """

    kv_cache: str
    points: tuple[ContextTier, ...]
    max_context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class FileRuns:
    """The engine that runs a file on this machine, or the reason why none does."""

    engine: str | None
    ok: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class FileEstimate:
    """The memory of a file on the plan's devices: ``device_bytes`` of the fullest one, with its
    ``free_bytes``, its share ``margin_bytes`` of the margin, and the ``budget_bytes`` that an
    engine with a memory pool reserves there. Speeds in tokens per second of one request; None
    where it is too big.
    """

    total_bytes: int
    device_bytes: int
    host_bytes: int
    margin_bytes: int
    budget_bytes: int | None
    free_bytes: int | None
    state: FitState
    tokens_per_s: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class FileSize:
    """One published set of weights. ``perplexity_percent``: above that of the original; None:
    nothing is known of its quality. ``estimate`` None: its size is not known, or no engine runs it.
    """

    repo: str
    source: str
    files: tuple[str, ...]
    format: str
    quantization: str | None
    chosen: bool
    runs: FileRuns
    quality: Quality | None
    perplexity_percent: float | None
    estimate: FileEstimate | None


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Every file of a model at one context, and memory against context of the plan's file.

    ``trained_context_tokens`` None: not known. ``curves`` are () without a plan.
    """

    model: str
    name: str
    verdict: Verdict
    where: str
    context_tokens: int
    trained_context_tokens: int | None
    max_context_tokens: int | None
    files: tuple[FileSize, ...]
    curves: tuple[CacheCurve, ...]


@dataclass(frozen=True, slots=True)
class RequiredHardware:
    """The smallest hardware that is large enough."""

    name: str
    count: int
    memory_bytes: int  # per device
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A missing engine or fact, and the command that installs or obtains it.

    ``plan``: with that engine. ``download_bytes`` and ``disk_bytes``: what the command fetches and
    writes, about; None where that is not known.
    """

    kind: MissingKind
    name: str
    reason: str
    command: str
    plan: Plan | None = None
    download_bytes: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan: numbers, hardware that is large enough, and alternatives that fit.

    ``code`` is the verdict's name or a more specific code: ``closed_weights``, ``engine_missing``,
    ``cpu_only_build``.
    """

    model: str
    verdict: Verdict
    code: str
    reasons: tuple[str, ...]
    needed_bytes: int | None  # total of the smallest candidate
    available_bytes: int | None  # free bytes of the largest usable set of devices
    required: tuple[RequiredHardware, ...] = ()
    alternatives: tuple[Plan, ...] = ()
    open_models: tuple[str, ...] = ()  # similar open models, for closed weights


@dataclass(frozen=True, slots=True)
class Decision:
    """The planner's answer: exactly one of ``plan`` and ``refusal`` is set.

    ``missing``: engines that would allow a better plan, or facts that would resolve ``unknown``.
    """

    plan: Plan | None
    refusal: Refusal | None
    alternatives: tuple[Plan, ...] = ()
    rejected: tuple[
        tuple[str, str], ...
    ] = ()  # (option, reason) of the options that were not chosen
    missing: tuple[Missing, ...] = ()
    contexts: tuple[ContextTier, ...] = ()  # of the plan, if alternatives were requested
    curves: tuple[CacheCurve, ...] = ()  # of the plan, if requested
    max_context_tokens: int | None = None  # that fits with the plan's weights, engine and cache
    files: tuple[FileSize, ...] = ()  # every file of the model, if requested
    trained_context_tokens: int | None = None  # of the plan's file, if ``files`` were requested
    files_context_tokens: int | None = None  # at which ``files`` were sized

    @property
    def verdict(self) -> Verdict:
        """``fits``, or the refusal's verdict."""
        return Verdict.FITS if self.refusal is None else self.refusal.verdict

    def _repr_html_(self) -> str:
        """The plan, or why there is none, for notebooks."""
        from modelscan.core.html import paragraphs

        if self.plan is not None:
            return self.plan._repr_html_()
        return paragraphs(self.refusal.reasons if self.refusal is not None else ())
