"""The format in a checkpoint's quantization_config, with the names of ``formats.quantization``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelscan.core.foreign import whole
from modelscan.formats.quantization import bits_per_weight, canonical

_MLX_FLOATS = ("mxfp4", "mxfp8", "nvfp4")
# Keys of quantizers that write no ``quant_method``; MLX writes none of them.
_OTHERS = ("zero_point", "q_group_size", "sym", "desc_act", "version", "quant_algo", "w_bit")


def quantization_method(config: Any) -> str | None:
    """The canonical name of the format; None if the checkpoint is not quantized.

    Of a mixed checkpoint, the format with the fewest bits, which the engine has to support.
    """
    if not isinstance(config, Mapping):
        return None
    return canonical(_method(config))


def _method(config: Mapping[str, Any]) -> str | None:
    method = str(config.get("quant_method") or config.get("method") or "").lower()
    algorithm = str(config.get("quant_algo") or "").upper()
    if algorithm or method == "modelopt":
        return modelopt_name(algorithm or "FP8")
    if method == "bitsandbytes" or "load_in_4bit" in config:
        return "bnb-4bit" if config.get("load_in_4bit") else "bnb-8bit"
    if not method and is_mlx(config):
        return mlx_name(config)
    special = _METHODS.get(method)
    return special(config) if special else method or None


def modelopt_name(algorithm: str) -> str:
    """The format of a ModelOpt algorithm: ``NVFP4_AWQ``, ``W4A8_AWQ``, ``FP8_PB_WO`` …"""
    algorithm = algorithm.upper()
    for mark, name in _MODELOPT:
        if mark in algorithm:
            return name
    return algorithm.lower()


_MODELOPT = (
    ("NVFP4", "nvfp4"), ("MXFP4", "mxfp4"), ("MXFP8", "mxfp8"), ("W4A8", "w4a8"),
    ("W4A16", "w4a16"), ("INT4", "w4a16"), ("W8A16", "w8a16"), ("W8A8", "w8a8"), ("INT8", "w8a8"),
    ("MIXED", "nvfp4"), ("FP8", "fp8"),
)  # fmt: skip


def groups_of(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The ``config_groups`` that quantize weights."""
    groups = config.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        if isinstance(group, Mapping) and isinstance(group.get("weights"), Mapping):
            yield group


def group_name(group: Mapping[str, Any], form: str) -> str:
    """The format of one compressed-tensors group; ``form``: the checkpoint's ``format``."""
    weights = group["weights"]
    form = str(group.get("format") or form)
    float_format = next((name for name in ("nvfp4", "mxfp4", "mxfp8") if name in form), None)
    if float_format:
        return float_format
    bits, size = whole(weights.get("num_bits")) or 8, weights.get("group_size")
    if str(weights.get("type") or "int") == "float":
        blocks = size == 32 and weights.get("strategy") in (None, "group")
        if bits == 8:
            return "mxfp8" if blocks else "fp8"
        return "mxfp4" if blocks else "nvfp4"
    inputs = group.get("input_activations")
    if not isinstance(inputs, Mapping) or not inputs:
        return f"w{bits}a16"
    return f"w{bits}a{whole(inputs.get('num_bits')) or 8}"


def _compressed(config: Mapping[str, Any]) -> str:
    form = str(config.get("format") or "")
    names = [group_name(group, form) for group in groups_of(config)]
    if names:
        return min(names, key=lambda name: bits_per_weight(name) or 16.0)
    float_format = next((name for name in ("nvfp4", "mxfp4", "mxfp8") if name in form), None)
    return float_format or ("fp8" if "float" in form else "w4a16" if "pack" in form else "w8a8")


def quark_name(spec: Mapping[str, Any]) -> str | None:
    """The format of one Quark layer configuration; None if its weights are not quantized."""
    weight, inputs = spec.get("weight"), spec.get("input_tensors")
    weights = [w for w in (weight if isinstance(weight, list) else [weight]) if w]
    names = [_quark_type(w) for w in weights if isinstance(w, Mapping)]
    if not names:
        return None
    name = min(names, key=lambda name: bits_per_weight(name) or 16.0)
    return "w4a8" if name == "int4" and isinstance(inputs, Mapping) and inputs else name


def _quark_type(weight: Mapping[str, Any]) -> str:
    text = str(weight.get("dtype") or "").lower()
    if text.startswith(("fp4", "mxfp4", "mx_fp4")) or text == "mx":
        return "mxfp4" if weight.get("group_size", 32) != 16 else "nvfp4"
    if text.startswith(("fp8", "e4m3", "e5m2")):
        return "fp8"
    match = re.match(r"u?int(\d)", text)
    return f"int{match[1]}" if match else text


def _quark(config: Mapping[str, Any]) -> str:
    specs = [config.get("global_quant_config"), *_layers(config)]
    names = [name for s in specs if isinstance(s, Mapping) and (name := quark_name(s))]
    return min(names, key=lambda name: bits_per_weight(name) or 16.0) if names else "quark"


def _layers(config: Mapping[str, Any]) -> list[Any]:
    layers = config.get("layer_quant_config")
    return list(layers.values()) if isinstance(layers, Mapping) else []


def is_mlx(config: Mapping[str, Any]) -> bool:
    """True for MLX's quantization table: bits and a group size, without a method."""
    return (
        whole(config.get("bits")) is not None
        and whole(config.get("group_size")) is not None
        and not any(key in config for key in (*_OTHERS, "quant_method"))
    )


def mlx_name(entry: Mapping[str, Any]) -> str:
    """``int4`` of affine groups; the float modes are called as elsewhere."""
    mode = str(entry.get("mode") or "affine")
    return mode if mode in _MLX_FLOATS else f"int{whole(entry.get('bits')) or 4}"


def integer_name(config: Mapping[str, Any]) -> str:
    """The format of GPTQ and AutoRound: its width, or a float format of AutoRound's data types."""
    kind, bits = str(config.get("data_type") or "int"), whole(config.get("bits")) or 4
    if kind.startswith(("mx_fp", "nv_fp")):
        return f"{kind[:2]}fp{bits}"
    if kind.startswith("fp") and bits == 8:
        return "fp8"
    return f"gptq-{bits}bit"


_METHODS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "compressed-tensors": _compressed, "compressed_tensors": _compressed, "quark": _quark,
    "mlx": mlx_name,
    **dict.fromkeys(("gptq", "gptq_marlin", "gptqmodel", "auto-round", "autoround", "inc"),
                    integer_name),
}  # fmt: skip
