"""llama.cpp's own dry run: its options, and its log as figures that replace computed ones."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.estimate import Parts
from modelscan.core.units import MIB

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.estimate import Estimate
    from modelscan.engines.llamacpp.settings import Settings

MARGIN_BYTES = 4 * MIB  # allocated by the engine but not reported
_SIZE = r"\s*=\s*(\d+(?:\.\d+)?) MiB"
_CACHE = re.compile(r"llama_kv_cache\w*: size" + _SIZE)
_STATE = re.compile(r"llama_memory_recurrent: size" + _SIZE)
_COMPUTE = re.compile(r"(\S+) compute buffer size" + _SIZE)
_OUTPUT = re.compile(r"output buffer size" + _SIZE)
_HOST = re.compile(r"Host\s*\|?\s*(\d+) =\s*(\d+) \+\s*(\d+) \+\s*(\d+)")
_CONTEXT = re.compile(r"n_ctx\s*= (\d+)")
_SEQUENCE = re.compile(r"n_ctx_seq\s*= (\d+)")
_FLASH = re.compile(r"Flash Attention enabled|flash_attn\s*= (?:enabled|1)")


class DryRunError(ModelscanError):
    """The engine rejected the file or the settings."""

    default_code = "dry_run"


@dataclasses.dataclass(frozen=True, slots=True)
class DryRun:
    """The engine's figures in bytes (its log has hundredths of a MiB, ``model`` whole MiB)."""

    model_bytes: int | None
    kv_cache_bytes: int
    recurrent_state_bytes: int
    compute_bytes: int
    output_bytes: int
    context_tokens: int | None
    sequence_tokens: int | None
    flash_attention: bool
    log: str


def arguments(settings: Settings) -> tuple[str, ...]:
    """llama-server's options for these settings."""
    words = [
        "--ctx-size", str(settings.context_tokens), "--parallel", str(settings.parallel),
        "--batch-size", str(settings.batch), "--ubatch-size", str(settings.ubatch),
        "--cache-type-k", settings.type_k.name.lower(),
        "--cache-type-v", settings.type_v.name.lower(),
        "--flash-attn", "auto" if settings.flash_attention else "off",
    ]  # fmt: skip
    words += ["--kv-unified"] if settings.unified else []
    words += ["--swa-full"] if settings.swa_full else []
    words += ["--embeddings", "--pooling", "mean"] if settings.embedding else []
    return tuple(words)


def parse(log: str) -> DryRun:
    """Read the log of a dry run. Raises DryRunError if it has no figures."""
    last = log.rpartition("constructing llama_context")[2]
    compute = {device: _bytes(size) for device, size in _COMPUTE.findall(last)}
    if not compute:
        raise DryRunError(
            f"llama.cpp cannot load this model: {_reason(log)}",
            hint="update the engine: pip install -U xllamacpp",
        )
    host = _HOST.findall(log)
    context, sequence = _CONTEXT.search(last), _SEQUENCE.search(last)
    return DryRun(
        model_bytes=int(host[0][1]) * MIB if host else None,
        kv_cache_bytes=sum(_bytes(size) for size in _CACHE.findall(last)),
        recurrent_state_bytes=sum(_bytes(size) for size in _STATE.findall(last)),
        compute_bytes=sum(compute.values()),
        output_bytes=sum(_bytes(size) for size in _OUTPUT.findall(last)),
        context_tokens=int(context.group(1)) if context else None,
        sequence_tokens=int(sequence.group(1)) if sequence else None,
        flash_attention=_FLASH.search(last) is not None,
        log=log,
    )


def _bytes(mebibytes: str) -> int:
    return round(float(mebibytes) * MIB)


def _reason(log: str) -> str:
    """The engine's error: the first line marked as an error, without its prefixes."""
    for line in log.splitlines():
        if " E " in line or "fatal error" in line or "GGML_ASSERT" in line:
            words = line.partition(" E ")[2] or line
            return words.rpartition("error loading model: ")[2].strip()
    return "it gave no reason"


def engine_parts(old: Parts, ran: DryRun, embedding_bytes: int) -> Parts:
    """The engine's figures instead of the computed ones, unless they only differ by rounding."""
    return dataclasses.replace(
        old,
        weights_bytes=_weights(old, ran, embedding_bytes),
        kv_cache_bytes=_closer(old.kv_cache_bytes, ran.kv_cache_bytes),
        recurrent_state_bytes=_closer(old.recurrent_state_bytes, ran.recurrent_state_bytes),
        compute_bytes=ran.compute_bytes,
        output_bytes=_closer(old.output_bytes, ran.output_bytes),
    )


def adopt(computed: Estimate, ran: DryRun, shape: ModelShape, version: str | None) -> Estimate:
    """The engine's figures instead of the computed ones; with GPUs only a note."""
    if computed.per_gpu:
        note = "checked against llama.cpp's own dry run (host only; the GPU split is computed)"
        return dataclasses.replace(
            computed, margin_bytes=0, assumptions=(*computed.assumptions, note)
        )
    parts = engine_parts(computed.parts, ran, shape.weights.embedding_bytes or 0)
    host = computed.host and dataclasses.replace(
        computed.host, parts=parts, total_bytes=parts.total_bytes
    )
    return dataclasses.replace(
        computed,
        parts=parts,
        total_bytes=parts.total_bytes,
        host=host,
        basis="exact",
        backend_version=version or computed.backend_version,
        margin_bytes=MARGIN_BYTES,
        verdict=None,
        low_bytes=None,
        high_bytes=None,
    )


def with_drafting(adopted: Estimate, computed: Estimate, alone: Estimate) -> Estimate:
    """``adopted`` with the computed contexts that draft: ``computed`` less ``alone``, the estimate
    without them.
    """
    if computed is alone:
        return adopted
    note = "the engine's own figures, but for the drafting context, which is computed"
    names = [field.name for field in dataclasses.fields(Parts)]
    parts = Parts(
        **{
            name: getattr(adopted.parts, name)
            + getattr(computed.parts, name)
            - getattr(alone.parts, name)
            for name in names
        }
    )
    if computed.per_gpu:
        return dataclasses.replace(computed, assumptions=adopted.assumptions)
    host = adopted.host and dataclasses.replace(
        adopted.host, parts=parts, total_bytes=parts.total_bytes
    )
    return dataclasses.replace(
        adopted, parts=parts, total_bytes=parts.total_bytes, host=host, basis=computed.basis,
        margin_bytes=0, assumptions=(*computed.assumptions, note), warnings=computed.warnings,
    )  # fmt: skip


def _weights(old: Parts, ran: DryRun, embedding_bytes: int) -> int:
    """The header's bytes, unless the engine loads a different amount (it prints whole MiB).

    Some architectures count a tied embedding twice in the dry run and map it once when loading.
    """
    if ran.model_bytes is None:
        return old.weights_bytes
    for expected in (old.weights_bytes, old.weights_bytes + embedding_bytes):
        if 0 <= expected - ran.model_bytes < 2 * MIB:
            return old.weights_bytes
    return ran.model_bytes


def _closer(ours: int, theirs: int) -> int:
    """The computed value where both agree within the log's rounding, because it is exact."""
    return ours if abs(ours - theirs) <= MIB // 50 else theirs
