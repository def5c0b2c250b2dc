"""Mixed precision: the format of each module of a checkpoint, by the rules of its quantizer.

A rule is a pattern and bits per weight; None means the model's dtype. ``re:`` patterns are matched
from the start of a module's path, as in the quantizers; others are the path of the module or of a
module that contains it, or a glob. The first rule that matches decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.formats.quantization import bits_per_weight
from modelscan.formats.quantization_config import (
    group_name,
    groups_of,
    integer_name,
    is_mlx,
    mlx_name,
    modelopt_name,
    quark_name,
)
from modelscan.memory.architecture.config_fields import whole
from modelscan.memory.module_paths import matches, plain
from modelscan.memory.stored_bits import grouped, stated_width, torchao_bits

Rule = tuple[str, float | None]
_REGEX = re.compile(r"[\\^$*+?{}\[\]|()]")


@dataclass(frozen=True, slots=True)
class ModuleFormats:
    """Bits per weight by module.

    ``exact``: module path without wrappers -> bits. ``others``: bits of modules without a rule;
    None: those of the format. ``only_listed``: modules without a rule are not quantized.
    ``head``, ``embedding``: whether the output head and the embedding are quantized as well.
    """

    exact: Mapping[str, float | None] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    others: float | None = None
    only_listed: bool = False
    head: bool = False
    embedding: bool = False

    def find(self, modules: tuple[str, ...]) -> tuple[bool, float | None]:
        """(whether a rule applies to one of these paths, its bits; None: the model's dtype)."""
        for name in modules:
            if name in self.exact:
                return True, self.exact[name]
        for pattern, bits in self.rules:
            if any(matches(name, pattern) for name in modules):
                return True, bits
        return False, None


def module_formats(details: Mapping[str, Any]) -> ModuleFormats:
    """The formats by module in a quantization_config; empty if one format applies to all."""
    method = str(details.get("quant_method") or "").lower().replace("_", "-")
    if isinstance(details.get("quantized_layers"), Mapping):
        return ModuleFormats(exact=dict(_listed(details)), only_listed=True)
    reader = _READERS.get(method)
    if reader is None and is_mlx(details):
        reader = _mlx
    return reader(details) if reader else ModuleFormats()


def _listed(details: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """ModelOpt lists every quantized module with its algorithm."""
    for name, entry in details["quantized_layers"].items():
        entry = entry if isinstance(entry, Mapping) else {}
        algorithm = str(entry.get("quant_algo") or "")
        form = modelopt_name(algorithm)
        # ModelOpt's FP8 has one scale per tensor, which adds no bits per weight.
        bits = 8.0 if form == "fp8" else bits_per_weight(form, _size(entry))
        yield plain(str(name)), bits or 8.0


def _size(entry: Mapping[str, Any]) -> int | None:
    size = entry.get("group_size")
    return size if isinstance(size, int) and size > 0 else None


def _compressed(details: Mapping[str, Any]) -> ModuleFormats:
    """compressed-tensors: targets by module path precede targets by class."""
    groups, form = list(groups_of(details)), str(details.get("format") or "")
    if len(groups) < 2 and all(_classes(group) == _targets(group) for group in groups):
        return ModuleFormats()
    rules: list[Rule] = [(str(pattern), None) for pattern in _flat(details.get("ignore"))]
    others = None
    for group in groups:
        bits = bits_per_weight(group_name(group, form), _size(group["weights"]))
        paths = [target for target in _targets(group) if target not in _classes(group)]
        rules += [(path, bits) for path in paths]
        if _classes(group) and others is None:
            others = bits
    return ModuleFormats(rules=tuple(rules), others=others, only_listed=others is None)


def _targets(group: Mapping[str, Any]) -> list[str]:
    targets = group.get("targets")
    return [str(target) for target in targets] if isinstance(targets, list) else ["Linear"]


def _classes(group: Mapping[str, Any]) -> list[str]:
    """Targets that are classes: ``Linear``, ``Llama4TextExperts``."""
    return [t for t in _targets(group) if t[:1].isupper() and "." not in t]


def _gptq(details: Mapping[str, Any]) -> ModuleFormats:
    """GPTQModel's ``dynamic``: ``+:`` overrides, ``-:`` excludes; the first match decides."""
    rules: list[Rule] = []
    dynamic = details.get("dynamic")
    for pattern, entry in dynamic.items() if isinstance(dynamic, Mapping) else ():
        text = str(pattern)
        if text.startswith("-:"):
            rules.append((f"re:{text[2:]}", None))
        else:
            merged = {**details, **entry} if isinstance(entry, Mapping) else details
            rules.append((f"re:{text.removeprefix('+:')}", _integer_bits(merged)))
    modules = [str(m) for m in _flat(details.get("modules_in_block_to_quantize"))]
    base = _integer_bits(details)
    rules += [(f"re:.*\\.{re.escape(name)}$", base) for name in modules]
    head = details.get("lm_head") is True
    if not modules:
        return ModuleFormats(rules=tuple(rules), head=head)
    return ModuleFormats(rules=tuple(rules), only_listed=True, head=head)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _flat(item)
    elif value:
        yield value


def _integer_bits(entry: Mapping[str, Any]) -> float | None:
    if (whole(entry.get("bits")) or 4) >= 16:
        return None
    return bits_per_weight(integer_name(entry), _size(entry))


def _autoround(details: Mapping[str, Any]) -> ModuleFormats:
    """AutoRound's ``extra_config``: a module path or regular expression with its own bits."""
    exact: dict[str, float | None] = {}
    rules: list[Rule] = []
    extra = details.get("extra_config")
    for name, entry in extra.items() if isinstance(extra, Mapping) else ():
        bits = _integer_bits({**details, **entry}) if isinstance(entry, Mapping) else None
        if _REGEX.search(str(name)):
            rules.append((f"re:.*(?:{name})", bits))
        else:
            exact[plain(str(name))] = bits
    return ModuleFormats(exact=exact, rules=tuple(rules))


def _quark(details: Mapping[str, Any]) -> ModuleFormats:
    """Quark: layer names (globs) precede the global configuration."""
    rules: list[Rule] = [(str(pattern), None) for pattern in _flat(details.get("exclude"))]
    layers = details.get("layer_quant_config")
    for pattern, spec in layers.items() if isinstance(layers, Mapping) else ():
        rules.append((str(pattern), quark_bits(spec)))
    everywhere = details.get("global_quant_config")
    others = quark_bits(everywhere)
    return ModuleFormats(rules=tuple(rules), others=others, only_listed=others is None)


def quark_bits(spec: Any) -> float | None:
    """Bits per weight of a Quark layer configuration; None if its weights are not quantized."""
    if not isinstance(spec, Mapping):
        return None
    name = quark_name(spec)
    if name is None:
        return None
    weight = spec.get("weight")
    weight = weight[-1] if isinstance(weight, list) else weight
    return bits_per_weight(name, _size(weight if isinstance(weight, Mapping) else {}))


def _torchao(details: Mapping[str, Any]) -> ModuleFormats:
    """torchao per module: ``module_fqn_to_config`` with ``_default`` for the rest."""
    kind = details.get("quant_type")
    default = kind.get("default") if isinstance(kind, Mapping) else None
    data = default.get("_data") if isinstance(default, Mapping) else None
    listed = data.get("module_fqn_to_config") if isinstance(data, Mapping) else None
    if not isinstance(listed, Mapping):
        return ModuleFormats()
    rules = [
        (str(name), torchao_bits(entry)) for name, entry in listed.items() if name != "_default"
    ]
    others = torchao_bits(listed.get("_default"))
    return ModuleFormats(rules=tuple(rules), others=others, only_listed=others is None)


def _mlx(details: Mapping[str, Any]) -> ModuleFormats:
    """MLX: all matrices, including embedding and head; modules may differ or be excluded."""
    exact: dict[str, float | None] = {}
    for name, entry in details.items():
        if isinstance(entry, Mapping):
            exact[plain(str(name))] = mlx_bits(entry)
        elif entry is False:
            exact[plain(str(name))] = None
    return ModuleFormats(exact=exact, others=mlx_bits(details), head=True, embedding=True)


def mlx_bits(entry: Mapping[str, Any]) -> float | None:
    """Bits per weight of an MLX entry: affine groups with scale and offset, or a float format."""
    if str(entry.get("mode") or "affine") == "affine":
        return grouped(entry.get("bits"), entry.get("group_size"))
    return bits_per_weight(mlx_name(entry))


def _exllama(details: Mapping[str, Any]) -> ModuleFormats:
    """ExLlama quantizes the output head as well, to ``head_bits``."""
    bits = stated_width(details.get("head_bits"))
    return ModuleFormats(rules=(("lm_head", bits),), head=True) if bits else ModuleFormats()


_READERS: dict[str, Callable[[Mapping[str, Any]], ModuleFormats]] = {
    "compressed-tensors": _compressed, "quark": _quark, "torchao": _torchao, "mlx": _mlx,
    **dict.fromkeys(("exl2", "exl3"), _exllama),
    **dict.fromkeys(("gptq", "gptq-marlin", "gptqmodel"), _gptq),
    **dict.fromkeys(("auto-round", "autoround", "inc"), _autoround),
}  # fmt: skip
