"""The planner's answer: how to run a model here, or why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.model import Model, Variant
from modelscan.core.verdict import Offload, SupportKind, Verdict
from modelscan.core.workload import Backend

QualityBasis = Literal["measured", "original", "interpolated", "unknown"]
MissingKind = Literal["engine", "download", "file_list", "repository", "architecture", "size"]


@dataclass(frozen=True, slots=True)
class Quality:
    """What a quantization costs: ``loss`` = ln(perplexity / perplexity of the original).

    ``basis``: measured (``source`` says by whom, on which ``model``) | original (published in this
    format) | interpolated (by bits per weight between measured ones) | unknown.
    """

    loss: float
    basis: QualityBasis
    source: str | None = None
    model: str | None = None
    kl_divergence: float | None = None


class Candidate:
    """A variant of the model with its shape, ready for the estimator.

    ``shape`` may be given as a function, which is called when the shape is first asked for: a
    model has dozens of variants, and most are ruled out by ``floor_bytes``, a lower bound of
    their weights (None: not known without the shape).
    """

    __slots__ = ("_shape", "floor_bytes", "quality", "variant")

    def __init__(
        self,
        variant: Variant,
        shape: ModelShape | Callable[[], ModelShape],
        quality: Quality | None = None,
        floor_bytes: int | None = None,
    ) -> None:
        self.variant = variant
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
    """What MODEL resolved to: everything the planner may choose from."""

    id: str
    name: str
    task: str  # chat | embedding | rerank | ...
    candidates: tuple[Candidate, ...]
    model: Model | None = None
    closed: bool = False
    warnings: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()  # open models like it, where ``closed``
    unlisted: tuple[str, ...] = ()  # repositories with GGUF files whose names are not known
    unsized: tuple[str, ...] = ()  # repositories with neither bytes nor parameters known
    other_formats: tuple[str, ...] = ()  # of its weights that no engine loads: mlx, onnx …


@dataclass(frozen=True, slots=True)
class Plan:
    """A launch that fits. ``gpus`` are device indices ((), with llama.cpp: CPU).

    ``parameters`` are the engine's launch flags exactly as they will be passed.
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
    within_margin: bool = False  # it starts, but an error of the estimate's own size would stop it

    def _repr_html_(self) -> str:
        """The estimate's memory bars and the reasons, for notebooks."""
        from modelscan.core.html import paragraphs

        return self.estimate._repr_html_() + paragraphs(self.reasons)


@dataclass(frozen=True, slots=True)
class RequiredHardware:
    """The smallest hardware that would do."""

    name: str
    count: int
    memory_bytes: int  # per device
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """What this machine lacks, and the command that brings it or tells it.

    Of an engine ``plan`` is what it would allow.
    """

    kind: MissingKind
    name: str
    reason: str
    command: str
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan, with numbers, the hardware that would do, and what does fit.

    ``code`` is the verdict's name or, where more is known, what it is about: ``closed_weights``,
    ``engine_missing``, ``cpu_only_build``.
    """

    model: str
    verdict: Verdict
    code: str
    reasons: tuple[str, ...]
    needed_bytes: int | None  # the smallest candidate's total
    available_bytes: int | None  # the largest usable set's free bytes
    required: tuple[RequiredHardware, ...] = ()
    alternatives: tuple[Plan, ...] = ()
    open_models: tuple[str, ...] = ()  # like a model of closed weights


@dataclass(frozen=True, slots=True)
class Decision:
    """The planner's answer: exactly one of ``plan`` and ``refusal`` is set.

    ``missing``: engines that would allow a better plan, or what would make ``unknown`` known.
    """

    plan: Plan | None
    refusal: Refusal | None
    alternatives: tuple[Plan, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()  # (what, why) of the options left out
    missing: tuple[Missing, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """``fits``, or why not."""
        return Verdict.FITS if self.refusal is None else self.refusal.verdict

    def _repr_html_(self) -> str:
        """The plan, or why there is none, for notebooks."""
        from modelscan.core.html import paragraphs

        if self.plan is not None:
            return self.plan._repr_html_()
        return paragraphs(self.refusal.reasons if self.refusal is not None else ())
