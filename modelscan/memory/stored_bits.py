"""Bits per weight of formats outside the common table, from the checkpoint: HQQ, torchao, EXL3 …"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelscan.formats.quantization import bits_per_weight
from modelscan.memory.architecture.config_fields import whole

_SCALE_AND_ZERO = 32  # 16 bits each, per group


def stated_bits(config: Mapping[str, Any]) -> float | None:
    """Bits per weight computed from a quantization_config; None if it lacks the numbers."""
    method = str(config.get("quant_method") or "").lower()
    reader = _READERS.get(method)
    return reader(config) if reader else None


def grouped(bits: Any, group: Any) -> float | None:
    """Bits per weight of integers with a 16-bit scale and a 16-bit offset per group of inputs."""
    width, size = whole(bits), whole(group)
    if not width or width > 16:
        return None
    return width + (_SCALE_AND_ZERO / size if size else 0.0)


def _hqq(config: Mapping[str, Any]) -> float | None:
    settings = config.get("quant_config")
    settings = settings if isinstance(settings, Mapping) else {}
    params = settings.get("weight_quant_params")
    if not isinstance(params, Mapping):
        return None
    return grouped(params.get("nbits"), params.get("group_size"))


def torchao_bits(entry: Any) -> float | None:
    """Bits per weight of a torchao configuration; None if unknown.

    ``entry``: for example ``{"_type": "Int4WeightOnlyConfig", "_data": {…}}``.
    """
    if not isinstance(entry, Mapping):
        return None
    kind = str(entry.get("_type") or "").lower()
    data = entry.get("_data")
    data = data if isinstance(data, Mapping) else {}
    return _torchao_kind(kind, data)


def _torchao_kind(kind: str, data: Mapping[str, Any]) -> float | None:
    for mark, name in (("nvfp4", "NVFP4"), ("mxfp4", "MXFP4"), ("float8weight", "FP8"),
                       ("float8dynamicactivationfloat8", "FP8"), ("float8_", "FP8")):  # fmt: skip
        if mark in kind:
            return bits_per_weight(name)
    if "int4" in kind:
        return grouped(4, data.get("group_size") or 128)
    if "int8" in kind:
        return bits_per_weight("INT8")
    return None


def _torchao(config: Mapping[str, Any]) -> float | None:
    kind = config.get("quant_type")
    if isinstance(kind, str):
        kwargs = config.get("quant_type_kwargs")
        return _torchao_kind(kind.lower(), kwargs if isinstance(kwargs, Mapping) else {})
    return torchao_bits(kind.get("default")) if isinstance(kind, Mapping) else None


def _stated(config: Mapping[str, Any]) -> float | None:
    """ExLlama states bits per weight directly, as a fraction."""
    return stated_width(config.get("bits"))


def stated_width(bits: Any) -> float | None:
    """Bits per weight that are stated as a number; None if it is none, or not plausible."""
    plain = isinstance(bits, (int, float)) and not isinstance(bits, bool)
    return float(bits) if plain and 0 < bits <= 16 else None


def _aqlm(config: Mapping[str, Any]) -> float | None:
    """AQLM: bits of the codebook indices per group of inputs, divided by the group size."""
    books, width, size = (whole(config.get(k)) for k in ("num_codebooks", "nbits_per_codebook",
                                                         "in_group_size"))  # fmt: skip
    return books * width / size if books and width and size else None


def _fp_quant(config: Mapping[str, Any]) -> float | None:
    return bits_per_weight(str(config.get("forward_dtype") or "mxfp4"))


def _bnb(config: Mapping[str, Any]) -> float | None:
    """bitsandbytes: a float32 scale for 64 weights, unless the scales are quantized as well."""
    plain = config.get("load_in_4bit") and not config.get("bnb_4bit_use_double_quant")
    return 4 + 32 / 64 if plain else None


_READERS: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "bitsandbytes": _bnb,
    "hqq": _hqq,
    "torchao": _torchao,
    "exl2": _stated,
    "exl3": _stated,
    "aqlm": _aqlm,
    "fp_quant": _fp_quant,
    "sinq": lambda config: grouped(config.get("nbits"), config.get("group_size")),
    "eetq": lambda _: bits_per_weight("INT8"),
    "bitnet": lambda _: 2.0,
}
