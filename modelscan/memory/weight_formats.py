"""The weight format of a checkpoint: its bits per weight, and which matrices stay unquantized."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.formats.quantization import bits_per_weight, canonical
from modelscan.formats.quantization_config import groups_of, is_mlx, quantization_method
from modelscan.memory.architecture.quantization_keys import unread_quantization_keys
from modelscan.memory.module_formats import ModuleFormats, module_formats
from modelscan.memory.module_paths import kept
from modelscan.memory.stored_bits import stated_bits

UNQUANTIZED_BITS = {"float32": 32.0, "fp32": 32.0}


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """``name`` None = unquantized. ``keep``: patterns of modules that stay in the model's dtype;
    ``modules``: mixed precision. ``own``: the checkpoint's own format, not a requested one.
    """

    name: str | None
    bits: float
    dtype_bits: float
    keep: tuple[str, ...] = ()
    modules: ModuleFormats = field(default_factory=ModuleFormats)
    experts_only: bool = False
    expert_bits: float | None = None  # if experts have another format than the rest
    known: bool = True  # False: the format is in no table; ``bits`` are the dtype's
    own: bool = True
    mlx: bool = False
    unread: tuple[str, ...] = ()  # keys of the quantization_config that no reader uses

    def bits_of(self, modules: tuple[str, ...], expert: bool) -> float:
        """Bits per weight of a matrix. ``modules``: its possible module paths."""
        if self.name is None or (self.experts_only and not expert):
            return self.dtype_bits
        listed, bits = self.modules.find(modules)
        if listed:
            return self.dtype_bits if bits is None else bits
        if self.modules.only_listed or any(kept(name, self.keep) for name in modules):
            return self.dtype_bits
        if self.modules.others is not None:
            return self.modules.others
        return self.expert_bits if expert and self.expert_bits else self.bits

    @property
    def named_modules(self) -> bool:
        """Whether the format of a matrix depends on its module path."""
        return bool(self.keep or self.modules.rules or self.modules.exact)


def weight_format(
    quantization: str | None, config: Any, hf_quant_config: Any, dtype: str | None,
    expert_dtype: str | None = None,
) -> WeightFormat:  # fmt: skip
    """The format of a checkpoint: that of its own configuration, unless another one is requested.

    ``config``, ``hf_quant_config``: contents of quantization_config and hf_quant_config.json.
    A format in no table has ``known`` False: its matrices count as unquantized.
    """
    dtype_bits = UNQUANTIZED_BITS.get(dtype or "", 16.0)
    extra = hf_quant_config if isinstance(hf_quant_config, Mapping) else {}
    extra = extra.get("quantization", extra)
    own = quantization_method(config) or quantization_method(extra)
    name = _chosen(quantization, own)
    details = _details(config, extra) if name == own else {}
    unread = unread_quantization_keys(details)
    if name is None:
        return WeightFormat(None, dtype_bits, dtype_bits, own=own is None, unread=unread)
    modules = module_formats(details)
    bits = modules.others or stated_bits(details) or bits_per_weight(name, _group(details))
    return WeightFormat(
        name=name,
        bits=dtype_bits if bits is None else bits,
        dtype_bits=dtype_bits,
        keep=(*_ignored(details), *(() if modules.head else ("lm_head",))),
        modules=modules,
        experts_only=name == "MXFP4" and not details,
        expert_bits=_expert_bits(name, own, expert_dtype),
        known=bits is not None or modules.only_listed,
        own=name == own,
        mlx=is_mlx(details) or details.get("quant_method") == "mlx",
        unread=unread,
    )


_UNQUANTIZED = ("NONE", "ORIGINAL")
_FOUR_BITS = ("INT4", "AWQ", "GPTQ-INT4", "BNB-4BIT")


def _chosen(requested: str | None, own: str | None) -> str | None:
    """The format's name, None for unquantized weights.

    A catalog's general name (INT4 for a GPTQ file) means the checkpoint's own format.
    """
    name = canonical(requested) if requested else own
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


def _ignored(details: Mapping[str, Any]) -> Iterable[str]:
    for name in ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers",
                 "llm_int8_skip_modules", "skip_modules", "exclude"):  # fmt: skip
        value = details.get(name)
        if isinstance(value, (list, tuple)) and value:
            return (str(pattern) for pattern in value)
    return ()


_COLUMN = 4096  # about the inputs of a whole column, which has one scale


def _group(details: Mapping[str, Any]) -> int | None:
    group = next(iter(groups_of(details)), None)
    for source in (group["weights"] if group else {}, details):
        for name in ("group_size", "q_group_size"):
            size = source.get(name)
            if isinstance(size, int) and size > 0:
                return size
            if size == -1 or source.get("strategy") == "channel":
                return _COLUMN
    return None
