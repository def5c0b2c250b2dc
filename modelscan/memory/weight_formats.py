"""The weight format of a checkpoint: its bits per weight, and which matrices stay unquantized."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from modelscan.formats.quantization import bits_per_weight, canonical
from modelscan.memory.architecture.config_quantization import quantization_method

UNQUANTIZED_BITS = {"float32": 32.0, "fp32": 32.0}


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """``name`` None = unquantized. ``keep``: patterns of modules that stay in the model's dtype;
    ``only``: modules listed with their own format (mixed precision).
    """

    name: str | None
    bits: float
    dtype_bits: float
    keep: tuple[str, ...] = ()
    only: tuple[tuple[str, float], ...] = ()
    experts_only: bool = False
    expert_bits: float | None = None  # experts in another format than the rest
    known: bool = True  # False: no table knows the name, ``bits`` are those of the dtype

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


def weight_format(
    quantization: str | None, config: Any, hf_quant_config: Any, dtype: str | None,
    expert_dtype: str | None = None,
) -> WeightFormat:  # fmt: skip
    """The format of a checkpoint: its own configuration, unless another one is asked for.

    A format that no table knows is not ``known``: its matrices count as unquantized.
    """
    dtype_bits = UNQUANTIZED_BITS.get(dtype or "", 16.0)
    extra = hf_quant_config if isinstance(hf_quant_config, Mapping) else {}
    extra = extra.get("quantization", extra)
    own = quantization_method(config) or quantization_method(extra)
    name = _chosen(quantization, own)
    if name is None:
        return WeightFormat(None, dtype_bits, dtype_bits)
    details = _details(config, extra) if name == own else {}
    bits = bits_per_weight(name, _group(details))
    return WeightFormat(
        name=name,
        bits=dtype_bits if bits is None else bits,
        dtype_bits=dtype_bits,
        keep=(*(str(pattern) for pattern in _ignored(details)), "lm_head"),
        only=tuple(_listed_layers(details)),
        experts_only=name == "MXFP4" and not details,
        expert_bits=_expert_bits(name, own, expert_dtype),
        known=bits is not None,
    )


_UNQUANTIZED = ("NONE", "ORIGINAL")
_FOUR_BITS = ("INT4", "AWQ", "GPTQ-INT4", "BNB-4BIT")


def _chosen(asked: str | None, own: str | None) -> str | None:
    """The format's name, None for unquantized weights.

    A catalog's coarse word (INT4 of a GPTQ file) means the checkpoint's own format.
    """
    name = canonical(asked) if asked else own
    if name is None or name in _UNQUANTIZED or (bits_per_weight(name) or 0) >= 16:
        return None
    return own if name in _FOUR_BITS and own in _FOUR_BITS else name


def _expert_bits(name: str, own: str | None, expert_dtype: str | None) -> float | None:
    """DeepSeek-V4: FP8 with experts in FP4."""
    mixed = name == own == "FP8" and expert_dtype == "fp4"
    return bits_per_weight("MXFP4") if mixed else None


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
        listed = next((form for form in ("MXFP8", "FP4") if form in algorithm.upper()), None)
        # FP8 of this kind has one scale per tensor, which is nothing per weight.
        yield _plain(str(name)), bits_per_weight(listed) or 8.0


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
