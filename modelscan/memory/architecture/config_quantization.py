"""What a checkpoint's own quantization_config says, by the names of ``formats.quantization``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelscan.formats.quantization import canonical
from modelscan.memory.architecture.config_fields import whole


def quantization_method(config: Any) -> str | None:
    """The canonical name of the format, None where the checkpoint is not quantized."""
    if not isinstance(config, Mapping):
        return None
    return canonical(_method(config))


def _method(config: Mapping[str, Any]) -> str | None:
    method = str(config.get("quant_method") or config.get("method") or "").lower()
    algorithm = str(config.get("quant_algo") or "").upper()
    if algorithm or method == "modelopt":
        return _modelopt(algorithm or "FP8")
    if method == "bitsandbytes" or "load_in_4bit" in config:
        return "bnb-4bit" if config.get("load_in_4bit") else "bnb-8bit"
    special = _METHODS.get(method)
    return special(config) if special else method or None


def _modelopt(algorithm: str) -> str:
    if "NVFP4" in algorithm:
        return "nvfp4"
    if "MXFP4" in algorithm:
        return "mxfp4"
    if "W4A16" in algorithm or "INT4" in algorithm:
        return "w4a16"
    if "MIXED" in algorithm:
        return "nvfp4"
    return "fp8" if "FP8" in algorithm else algorithm.lower()


def _compressed(config: Mapping[str, Any]) -> str:
    form = str(config.get("format") or "")
    if "nvfp4" in form:
        return "nvfp4"
    if "mxfp4" in form:
        return "mxfp4"
    groups = config.get("config_groups")
    first: Any = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        return "fp8" if "float" in form else "w4a16" if "pack" in form else "w8a8"
    bits, kind = whole(weights.get("num_bits")) or 8, str(weights.get("type") or "int")
    if kind == "float":
        return "fp8" if bits == 8 else "nvfp4"
    inputs = first.get("input_activations")
    if not isinstance(inputs, Mapping) or not inputs:
        return f"w{bits}a16"
    return f"w{bits}a{whole(inputs.get('num_bits')) or 8}"


def _quark(config: Mapping[str, Any]) -> str:
    text = str(config.get("global_quant_config") or config)
    if "mx" in text.lower() or "fp4" in text.lower():
        return "mxfp4"
    return "fp8" if "fp8" in text.lower() else "int8"


def _with_bits(config: Mapping[str, Any]) -> str:
    return f"gptq-{whole(config.get('bits')) or 4}bit"


_METHODS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "compressed-tensors": _compressed, "compressed_tensors": _compressed, "quark": _quark,
    **dict.fromkeys(("gptq", "gptq_marlin", "auto-round", "autoround"), _with_bits),
}  # fmt: skip
