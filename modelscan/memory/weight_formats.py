"""Bits per weight of the formats checkpoints come in, and which matrices stay unquantised.

Sizes include scales and zero points: FP8 block 128x128 (DeepSeek), AWQ/GPTQ groups of 128 (16-bit
scale and 4-bit zero), NVFP4 groups of 16 (FP8 scale), MXFP4 groups of 32 (8-bit exponent),
bitsandbytes NF4 blocks of 64 with double quantisation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.memory.architecture.config_quantization import quantization_method

# format -> bits per weight; ``group`` formats take their scale per group of inputs.
_BITS = {
    "fp8": 8 + 32 / 16384, "w8a8": 8.01, "int8": 8.01, "w8a16": 8.01, "bnb-8bit": 8.01,
    "mxfp8": 8.25, "nvfp4": 4.5, "mxfp4": 4.25, "bnb-4bit": 4.127, "bf16": 16.0, "fp16": 16.0,
    "f16": 16.0, "f32": 32.0, "fp32": 32.0,
}  # fmt: skip
_ALIASES = {
    "float16": "fp16", "half": "fp16", "bfloat16": "bf16", "float32": "fp32", "fp8-dynamic": "fp8",
    "fp8_e4m3": "fp8", "fp8-static": "fp8", "w8a8-fp8": "fp8", "bnb": "bnb-4bit", "nf4": "bnb-4bit",
    "int4": "w4a16", "int8": "w8a8", "fp4": "nvfp4", "gptq-int4": "gptq", "gptq-int8": "gptq-8bit",
    "awq-int4": "awq", "4bit": "bnb-4bit", "8bit": "bnb-8bit", "bitsandbytes": "bnb-4bit",
    "mxfp4_moe": "mxfp4", "awq_marlin": "awq", "gptq_marlin": "gptq", "modelopt": "fp8",
    "fbgemm_fp8": "fp8", "autoround": "gptq", "auto-round": "gptq",
}  # fmt: skip
_GROUPED = re.compile(r"(?:awq|gptq|w)-?(\d)?(?:bit|a\d+)?$")

UNQUANTIZED_BITS = {"float32": 32.0, "fp32": 32.0}


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """``name`` None = unquantised. ``keep``: patterns of modules that stay in the model's dtype;
    ``only``: modules listed with their own format (mixed precision).
    """

    name: str | None
    bits: float
    dtype_bits: float
    keep: tuple[str, ...] = ()
    only: tuple[tuple[str, float], ...] = ()
    experts_only: bool = False
    expert_bits: float | None = None  # experts in another format than the rest

    def bits_of(self, modules: tuple[str, ...], expert: bool) -> float:
        """Bits per weight of a matrix known under any of these module names."""
        if self.name is None or (self.experts_only and not expert):
            return self.dtype_bits
        if self.only:
            listed = dict(self.only)
            found = [listed[name] for name in modules if name in listed]
            return found[0] if found else self.dtype_bits
        if any(_kept(name, self.keep) for name in modules):
            return self.dtype_bits
        return self.expert_bits if expert and self.expert_bits else self.bits


def normalise(name: str) -> str:
    """``FP8``, ``Int4``, ``AWQ``, ``BF16``, ``W4A16`` … -> the names used here."""
    text = name.strip().lower().replace("_", "-")
    return _ALIASES.get(text, _ALIASES.get(text.replace("-", "_"), text))


def bits_per_weight(name: str, group: int | None = None) -> float:
    """Raises UsageError for a format nobody here knows."""
    kind = normalise(name)
    if kind in _BITS:
        return _BITS[kind]
    match = _GROUPED.match(kind)
    if match:
        bits = int(match.group(1) or 4)
        size = group or 128
        zero = 0 if kind.startswith("w") else bits
        return bits + (16 + zero) / size
    raise UsageError(
        f"'{name}' is not a weight format modelscan knows",
        hint="one of bf16, fp8, w8a8, awq, gptq, nvfp4, mxfp4, bnb-4bit, bnb-8bit, w4a16",
    )


def weight_format(
    quantization: str | None, config: Any, hf_quant_config: Any, dtype: str | None,
    expert_dtype: str | None = None,
) -> WeightFormat:  # fmt: skip
    """The format of a checkpoint: its own configuration, unless another one is asked for."""
    dtype_bits = UNQUANTIZED_BITS.get(dtype or "", 16.0)
    extra = hf_quant_config if isinstance(hf_quant_config, Mapping) else {}
    extra = extra.get("quantization", extra)
    own = quantization_method(config) or quantization_method(extra)
    wanted = normalise(quantization) if quantization else own
    if wanted in (None, "none", "original") or _BITS.get(wanted or "", 0) >= 16:
        return WeightFormat(None, dtype_bits, dtype_bits)
    if own and wanted != own and quantization_matches(wanted or "", own):
        wanted = own
    details = _details(config, extra) if wanted == own else {}
    bits = bits_per_weight(wanted or "", _group(details))
    only = tuple(_listed_layers(details))
    keep = tuple(str(p) for p in _ignored(details))
    experts_only = wanted == "mxfp4" and not details
    expert_bits = _BITS["mxfp4"] if wanted == own == "fp8" and expert_dtype == "fp4" else None
    return WeightFormat(
        wanted, bits, dtype_bits, (*keep, "lm_head"), only, experts_only, expert_bits
    )


def quantization_matches(wanted: str, own: str) -> bool:
    """A catalog's coarse word for the checkpoint's own format (int4 of a GPTQ file)."""
    four = ("w4a16", "awq", "gptq", "bnb-4bit")
    return wanted in four and own in four


def _details(config: Any, extra: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(config, Mapping) and config:
        return config if not extra else {**config, **{k: v for k, v in extra.items() if v}}
    return extra


def _ignored(details: Mapping[str, Any]) -> Iterable[Any]:
    for name in ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers",
                 "llm_int8_skip_modules"):  # fmt: skip
        value = details.get(name)
        if isinstance(value, (list, tuple)) and value:
            return value
    return ()


def _group(details: Mapping[str, Any]) -> int | None:
    groups = details.get("config_groups")
    first: Any = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    weights = first.get("weights") if isinstance(first, Mapping) else None
    for source in (weights or {}, details):
        for name in ("group_size", "q_group_size"):
            size = source.get(name)
            if isinstance(size, int) and size > 0:
                return size
    return None


def _listed_layers(details: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Mixed precision: every quantised module with its algorithm."""
    layers = details.get("quantized_layers")
    if not isinstance(layers, Mapping):
        return
    for name, entry in layers.items():
        algorithm = str(entry.get("quant_algo") or "") if isinstance(entry, Mapping) else ""
        bits = 4.5 if "FP4" in algorithm.upper() else 8.0
        yield _plain(str(name)), 8.25 if "MXFP8" in algorithm.upper() else bits


def _plain(name: str) -> str:
    """A module path without the wrappers multimodal models put around it."""
    for prefix in ("model.language_model.", "language_model.model.", "language_model.", "model.",
                   "backbone.", "thinker.model."):  # fmt: skip
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


@lru_cache(maxsize=65536)
def _kept(name: str, patterns: tuple[str, ...]) -> bool:
    return any(_matches(name, pattern) for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        try:
            return re.search(pattern[3:].replace("^model\\.", ""), name) is not None
        except re.error:
            return False
    short = _plain(pattern)
    if "*" in short:
        inside = fnmatchcase(name, short + ".*")  # a module's pattern covers what is in it
        return inside or fnmatchcase(name, short) or fnmatchcase("model." + name, short)
    return name == short or name.startswith(short + ".") or f".{short}." in f".{name}."
