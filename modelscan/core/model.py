"""A model in the catalog: facts, providers, recipes, and where the weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Listing = Literal["whole", "expected"]
"""Of a repository's files: the hub's complete list, or predicted from the publisher's naming."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a field's value comes from, and the other sources' values."""

    source: str
    retrieved_at: str | None  # RFC 3339 UTC; None for a bundled snapshot of unknown time
    others: tuple[tuple[str, Any], ...] = ()  # (source, value), total order by source

    @property
    def conflict(self) -> bool:
        """Whether other sources state other values."""
        return bool(self.others)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """True, False or None = unknown; an absent key is never False."""

    tools: bool | None = None
    reasoning: bool | None = None
    vision: bool | None = None
    attachment: bool | None = None
    structured_output: bool | None = None
    temperature: bool | None = None


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """Tokens. A source's 0 means unknown and becomes None."""

    context_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Pricing:
    """US dollars per million tokens (``_usd_per_mtok``); None = unknown, 0.0 = free."""

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    reasoning_usd_per_mtok: float | None = None
    cache_read_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    tiers: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Offering:
    """A hosted provider's row for a model."""

    provider: str
    id: str  # the provider's own id, e.g. "openrouter/qwen/qwen3-8b"
    pricing: Pricing | None
    limits: TokenLimits
    name: str | None = None
    status: str | None = None
    api: str | None = None
    capabilities: Capabilities = Capabilities()


@dataclass(frozen=True, slots=True)
class Spec:
    """A deployment recipe, carried verbatim from the catalog that publishes it."""

    source: str  # huggingface | model_scope | local_path
    repo: str
    backend: str  # verbatim: vLLM, SGLang, MindIE, VoxBox
    quantization: str | None
    mode: str | None = None  # standard | throughput | latency
    filename: str | None = None
    backend_version: str | None = None
    backend_parameters: tuple[str, ...] = ()
    gpu_filters: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    speculative_config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file of a repository; ``sha256`` is the hub's LFS hash where it publishes one."""

    path: str
    size_bytes: int | None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One downloadable set of weights: repository x format x quantization.

    ``listing``: ``whole`` if the hub listed all files of the repository, ``expected`` if these are
    predicted from the publisher's naming; None if a source names these files and maybe not all.
    """

    repo: str
    format: str  # gguf | safetensors | mlx | pickle | onnx | unknown
    quantization: str | None  # BF16, FP8, AWQ, GPTQ-Int4, NVFP4, Q4_K_M, ...; open set
    source: str = "huggingface"  # huggingface | modelscope | local_path
    weight_bytes: int | None = None
    parameters: int | None = None
    files: tuple[WeightFile, ...] = ()
    revision: str | None = None
    gated: bool | None = None
    modelscope_repo: str | None = None
    downloads: int | None = None
    link_reason: str | None = None  # the rule that linked it to this model
    listing: Listing | None = None
    listed_at: str | None = None  # time of the source that lists the GGUF files, RFC 3339 UTC


@dataclass(frozen=True, slots=True)
class Model:
    """One canonical model. Every non-empty field has an entry in ``provenance``."""

    id: str  # "lab/name", lower case
    name: str
    lab: str | None = None
    family: str | None = None
    description: str | None = None
    task: str | None = None  # chat | embedding | rerank | image | speech_to_text | text_to_speech
    open_weights: bool | None = None
    license: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    capabilities: Capabilities = Capabilities()
    limits: TokenLimits = TokenLimits()
    modalities_in: tuple[str, ...] | None = None  # None = unknown
    modalities_out: tuple[str, ...] | None = None
    knowledge: str | None = None
    release_date: str | None = None
    last_updated: str | None = None
    status: str | None = None
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    offerings: tuple[Offering, ...] = ()
    specs: tuple[Spec, ...] = ()
    variants: tuple[Variant, ...] = ()
    repos: tuple[str, ...] = ()
    benchmarks: tuple[Mapping[str, Any], ...] = ()
    downloads: int | None = None
    architecture: Mapping[str, Any] | None = None  # the config.json, if one is bundled
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
