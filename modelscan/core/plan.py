"""The planner's answer: how to run a model here, or why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.model import Model, Variant


@dataclass(frozen=True, slots=True)
class Quality:
    """What a quantization costs: ``loss`` = ln(perplexity / perplexity of the original).

    ``basis``: measured (``source`` says by whom, on which ``model``) | original (published in this
    format) | interpolated (by bits per weight between measured ones) | unknown.
    """

    loss: float
    basis: str
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


@dataclass(frozen=True, slots=True)
class Plan:
    """A launch that fits. ``gpus`` are device indices ((), with llama.cpp: CPU).

    ``parameters`` are the engine's launch flags exactly as they will be passed.
    """

    model: str
    quantization: str | None
    backend: str
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
    support: str = "native"  # native | weight_only | forced: how the GPU computes in this format


@dataclass(frozen=True, slots=True)
class RequiredHardware:
    """The smallest hardware that would do."""

    name: str
    count: int
    memory_bytes: int  # per device
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing fits: with numbers, the hardware that would do, and what does fit."""

    model: str
    reasons: tuple[str, ...]
    needed_bytes: int | None  # the smallest candidate's total
    available_bytes: int | None  # the largest usable set's free bytes
    required: tuple[RequiredHardware, ...] = ()
    alternatives: tuple[Plan, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything ``plan`` prints: exactly one of ``plan`` and ``refusal`` is set."""

    plan: Plan | None
    refusal: Refusal | None
    alternatives: tuple[Plan, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()  # (what, why) of the options left out
