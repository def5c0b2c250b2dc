"""The KV cache type stated in a quantized checkpoint, and which engines use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.architecture import Architecture
from modelscan.memory.architecture.config_fields import whole

TYPE, FORMAT = "kv_cache_dtype", "kv_cache_stated_in"  # keys of Architecture.extra
COMPRESSED, MODELOPT = "compressed-tensors", "modelopt"
_ALGORITHMS = {"FP8": "fp8", "NVFP4": "nvfp4"}


def stated_cache(config: Any, hf_quant_config: Any) -> dict[str, str]:
    """Entries of ``Architecture.extra`` for the stated cache type; empty without one.

    Source: ``kv_cache_scheme`` (llm-compressor) or ``kv_cache_quant_algo`` (ModelOpt).
    """
    for source in (config, hf_quant_config):
        details = source if isinstance(source, Mapping) else {}
        details = details.get("quantization", details)
        cache = _type(details) if isinstance(details, Mapping) else None
        if cache:
            method = str(details.get("quant_method") or MODELOPT).replace("_", "-")
            return {TYPE: cache, FORMAT: COMPRESSED if method == COMPRESSED else MODELOPT}
    return {}


def _type(details: Mapping[str, Any]) -> str | None:
    algorithm = str(details.get("kv_cache_quant_algo") or "").upper()
    if algorithm in _ALGORITHMS:
        return _ALGORITHMS[algorithm]
    scheme = details.get("kv_cache_scheme")
    if not isinstance(scheme, Mapping):
        return None
    bits = whole(scheme.get("num_bits")) if scheme.get("type") == "float" else None
    if bits == 4 and str(details.get("quant_method") or "").startswith(MODELOPT):
        return "nvfp4"
    return "fp8" if bits == 8 else None


def cache_type(requested: str, architecture: Architecture, formats: tuple[str, ...]) -> str:
    """The cache type in use: ``auto`` means the checkpoint's, if it has one of ``formats``."""
    stated = architecture.extra.get(TYPE)
    if requested != "auto" or not stated or architecture.extra.get(FORMAT) not in formats:
        return requested
    return str(stated)
