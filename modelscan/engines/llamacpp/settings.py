"""llama.cpp's effective settings: set, defaulted, rounded.

Rules of ``llama_context::llama_context`` and the server's argument handling at b11549.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.engines.llamacpp.flags import NAMES
from modelscan.formats.gguf_types import BY_NAME, GgmlType
from modelscan.memory import defaults
from modelscan.memory.architecture.gguf_rules import NO_FLASH_ATTENTION

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload

PAD = 256
_CACHE_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")


@dataclass(frozen=True, slots=True)
class Settings:
    """``context_tokens`` is n_ctx after rounding, ``sequence_tokens`` the cells of one slot.
    ``state_copies``: recurrent states kept per slot, more than one if the model drafts.
    """

    context_tokens: int
    sequence_tokens: int
    parallel: int
    unified: bool
    batch: int
    ubatch: int
    type_k: GgmlType
    type_v: GgmlType
    flash_attention: bool
    swa_full: bool
    embedding: bool
    state_copies: int = 1

    @property
    def streams(self) -> int:
        """Separate caches, one per slot unless unified."""
        return 1 if self.unified else self.parallel

    @property
    def graph_tokens(self) -> int:
        """Tokens of the graph that is reserved: min(n_ctx, n_ubatch) in whole rows per slot."""
        tokens = min(self.context_tokens, self.ubatch)
        return -(-tokens // self.parallel) * self.parallel


def pad(value: int, to: int = PAD) -> int:
    """``value`` rounded up to a multiple of ``to``."""
    return -(-value // to) * to


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """llama-server's options before rounding; ``latent`` and ``encoder`` describe the model."""

    context: int
    parallel: int = 1
    unified: bool = False
    batch: int = 2048
    ubatch: int = 512
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: str = "auto"
    swa_full: bool = False
    embedding: bool = False
    latent: bool = False
    encoder: bool = False


def from_workload(workload: Workload, architecture: Architecture) -> Settings:
    """Raises UsageError for a value llama.cpp does not accept, NotDeployableError for a
    rejected combination of cache types.
    """
    settings = rounded(options_of(workload, architecture))
    _refuse_heads(settings, architecture)
    return settings


def options_of(workload: Workload, architecture: Architecture) -> ServerOptions:
    """The options that a workload sets for a model, with llama-server's defaults."""
    slots = _number(workload, NAMES.slots) or defaults.parallel(workload)
    unified = _flag(workload, NAMES.unified)
    keys, values = _cache_types(workload, architecture)
    return ServerOptions(
        context=_total_context(workload, architecture, 1 if unified else slots),
        parallel=slots,
        unified=unified,
        batch=_number(workload, ("batch-size", "b")) or 2048,
        ubatch=workload.ubatch or _number(workload, ("ubatch-size", "ub")) or 512,
        type_k=keys,
        type_v=values,
        flash_attention=_flash_attention(workload, architecture),
        swa_full=_flag(workload, ("swa-full",)),
        embedding=_embedding(workload, architecture),
        latent=architecture.latent is not None,
        encoder=architecture.encoder_only,
    )


def _total_context(workload: Workload, architecture: Architecture, slots: int) -> int:
    """The option as set, else the context of one request times the slots."""
    total = _number(workload, NAMES.total_context)
    if total is None:
        total = defaults.context_tokens(workload, architecture) * slots
    return total or architecture.context_tokens or defaults.CONTEXT_TOKENS


def _cache_types(workload: Workload, architecture: Architecture) -> tuple[str, str]:
    """(keys, values); a latent cache has one row for both."""
    keys = workload.kv_cache_k or _text(workload, ("cache-type-k", "ctk")) or "f16"
    values = workload.kv_cache_v or _text(workload, ("cache-type-v", "ctv"))
    if values is None:
        values = keys if architecture.latent else "f16"
    return keys, values


def _flash_attention(workload: Workload, architecture: Architecture) -> str:
    if architecture.name in NO_FLASH_ATTENTION:
        return "off"
    return workload.flash_attention or _text(workload, ("flash-attn", "fa")) or "auto"


def rounded(options: ServerOptions) -> Settings:
    """Round as llama.cpp does: 10000 tokens in 3 separate slots become 3 x 3584.

    A causal model's batch is limited to the context as given, before that is rounded up.
    """
    parallel, context = options.parallel, options.context
    total = pad(context)
    sequence = total if options.unified else pad(total // parallel)
    if not options.unified:
        total = sequence * parallel
    batch = min(options.batch, total if options.encoder else context)
    ubatch = min(options.ubatch or batch, batch)
    if options.embedding:
        batch = ubatch  # the server processes a whole input at once
    keys, values = cache_type(options.type_k), cache_type(options.type_v)
    flash = _flash(options.flash_attention)
    _refuse(keys, values, flash, options.latent)
    return Settings(
        total, sequence, parallel, options.unified, batch, ubatch, keys, values, flash,
        options.swa_full, options.embedding,
    )  # fmt: skip


def cache_type(name: str) -> GgmlType:
    """The GGML type of a KV cache by name. Raises UsageError for types without cache support."""
    kind = BY_NAME.get(name.upper())
    if kind is None or kind.name not in _CACHE_TYPES:
        raise UsageError(
            f"llama.cpp has no cache type '{name}'",
            hint="--kv-cache " + "|".join(t.lower() for t in _CACHE_TYPES),
        )
    return kind


def _flash(mode: str) -> bool:
    """``auto`` is on: no supported device turns it off for a head size of 64 to 576."""
    word = mode.lower()
    if word not in ("on", "off", "auto", "1", "0", "true", "false", "enabled", "disabled"):
        raise UsageError(f"'{mode}' is not on, off or auto", hint="--flash-attention on|off|auto")
    return word not in ("off", "0", "false", "disabled")


def _refuse(keys: GgmlType, values: GgmlType, flash: bool, latent: bool) -> None:
    if values.block > 1 and not flash:
        raise NotDeployableError(
            f"llama.cpp refuses {values.name.lower()} values in the cache without flash attention",
            hint="--flash-attention on, or --kv-cache f16",
        )
    if latent and keys != values:
        raise NotDeployableError(
            "llama.cpp keeps one latent row per token: key and value cache types must be equal,"
            f" not {keys.name.lower()} and {values.name.lower()}",
            hint=f"--kv-cache {keys.name.lower()}",
        )


def _refuse_heads(settings: Settings, architecture: Architecture) -> None:
    """Flash attention reads whole blocks of a head: ``llama_init_from_model``."""
    if not settings.flash_attention or architecture.latent:
        return
    for layer, _ in architecture.layer_counts:
        for kind, size in (
            (settings.type_k, layer.key_length),
            (settings.type_v, layer.value_length),
        ):
            if size % kind.block:
                name = kind.name.lower()
                raise NotDeployableError(
                    f"llama.cpp refuses a {name} cache for heads of {size} values: its blocks"
                    f" hold {kind.block}",
                    hint="--kv-cache f16",
                )


def _embedding(workload: Workload, architecture: Architecture) -> bool:
    if workload.embedding is not None:
        return workload.embedding
    requested = _flag(workload, ("embedding", "embeddings", "rerank"))
    return architecture.embedding_model or architecture.encoder_only or requested


def _flag(workload: Workload, names: tuple[str, ...]) -> bool:
    values = [workload.parameter(name) for name in names]
    return any(value is not None and value.lower() not in ("false", "0", "off") for value in values)


def whole_number(name: str, value: str) -> int:
    """An option's value as a number of plausible length; raises UsageError otherwise."""
    digits = value.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 13):
        raise UsageError(f"llama.cpp's --{name} takes a number, not '{value[:40]}'")
    return int(digits)


def _text(workload: Workload, names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := workload.parameter(name))), None)


def _number(workload: Workload, names: tuple[str, ...]) -> int | None:
    for name in names:
        value = workload.parameter(name)
        if value is not None:
            return whole_number(name, value)
    return None
