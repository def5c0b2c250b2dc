"""A PEFT adapter: ``adapter_config.json`` and the header of ``adapter_model.safetensors``. Pure.

Fields and names of tensors: peft 0.21 (``LoraConfig``, ``get_peft_model_state_dict``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from modelscan.core.adapter import AdaptedModule, AdapterFault, LoraAdapter
from modelscan.formats.peft_tensors import (
    BIAS,
    WHOLE,
    Halves,
    halves_of,
    has_magnitudes,
    is_named,
    other_tensors,
    whole_modules,
)
from modelscan.formats.safetensors import Header

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
_LARGEST = 1e12  # alpha
_MOST = 1 << 20  # of a rank: a larger one is no rank
# Keys that change the result, with the value that leaves it as it is.
_UNREAD: Mapping[str, Any] = {
    "layer_replication": None, "alora_invocation_tokens": None, "target_parameters": None,
    "lora_bias": False, "use_qalora": False, "megatron_config": None, "fan_in_fan_out": False,
    "corda_config": None, "arrow_config": None,
}  # fmt: skip


class _Stated(NamedTuple):
    """The ranks and alphas of a config."""

    r: int | None
    alpha: float | None
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    rslora: bool


def read_peft(config: Any, header: Header | None, path: str, file_bytes: int = 0) -> LoraAdapter:
    """The adapter of a parsed config and its weights' header (None: they cannot be read).

    Whatever is wrong is among ``faults``; nothing is raised for any JSON value.
    """
    if not isinstance(config, Mapping):
        fault = AdapterFault("config", f"{CONFIG} is not a JSON object")
        return LoraAdapter("peft", path, file_bytes=file_bytes, faults=(fault,))
    faults: list[AdapterFault] = []
    stated = _stated(config, faults)
    halves = halves_of(header) if header is not None else {}
    modules = tuple(_modules(halves, stated))
    targets = _targets(config, faults)
    dora = bool(config.get("use_dora")) or has_magnitudes(header)
    others = other_tensors(header)
    if header is not None:
        faults += _faults_of_tensors(halves, header, stated, dora)
        faults += _faults_of_others(others, config) if halves else ()
        faults += _faults_of_targets(targets, config, modules)
    ranks = [one.rank for one in modules] or [n for n in (stated.r, *stated.ranks.values()) if n]
    return LoraAdapter(
        format="peft",
        path=path,
        base=_text(config, "base_model_name_or_path"),
        revision=_text(config, "revision"),
        r=stated.r,
        max_rank=max(ranks, default=None),
        alpha=stated.alpha,
        target_modules=targets,
        dora=dora,
        rslora=stated.rslora,
        bias=_text(config, "bias") or "none",
        modules_to_save=whole_modules(others, _names(config.get("modules_to_save"))),
        trainable_tokens=_token_count(config.get("trainable_token_indices")),
        method=(_text(config, "peft_type") or "LORA").upper(),
        task=_text(config, "task_type"),
        trained_with=_text(config, "peft_version"),
        file_bytes=file_bytes,
        modules=modules,
        unread=tuple(key for key, plain in _UNREAD.items() if config.get(key) not in (plain, None)),
        faults=tuple(faults),
    )


def _stated(config: Mapping[str, Any], faults: list[AdapterFault]) -> _Stated:
    r, alpha = _rank(config.get("r")), _number(config.get("lora_alpha"))
    for key, value, kind in (
        ("r", r, "a whole number above 0"), ("lora_alpha", alpha, "a number"),
    ):  # fmt: skip
        if value is None:
            what = f"is {_shown(config[key])}" if key in config else "is missing"
            faults.append(AdapterFault("config", f"'{key}' {what}; it must be {kind}"))
    ranks = _pattern(config, "rank_pattern", _rank, faults)
    alphas = _pattern(config, "alpha_pattern", _number, faults)
    return _Stated(r, alpha, ranks, alphas, bool(config.get("use_rslora")))


def _pattern(
    config: Mapping[str, Any], key: str, read: Any, faults: list[AdapterFault]
) -> Mapping[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, Mapping):
        faults.append(AdapterFault("config", f"'{key}' is {_shown(value)}; it must be an object"))
        return {}
    wrong = [name for name, number in value.items() if read(number) is None]
    if wrong:
        faults.append(AdapterFault("config", f"'{key}' has no number for '{wrong[0][:80]}'"))
    return {str(name): read(number) for name, number in value.items() if name not in wrong}


def _targets(config: Mapping[str, Any], faults: list[AdapterFault]) -> tuple[str, ...]:
    value = config.get("target_modules")
    names = _names(value)
    if not names and not config.get("target_parameters"):
        what = "is missing" if value is None else f"is {_shown(value)}"
        faults.append(AdapterFault("config", f"'target_modules' {what}; it names no module"))
    return names


def _modules(halves: Mapping[str, Halves], stated: _Stated) -> Iterator[AdaptedModule]:
    """The modules by name; of a convolution, the sizes are those of its channels."""
    for name, half in sorted(halves.items()):
        a, b = half.a or (), half.b or ()
        rank = a[0] if a else b[1] if len(b) > 1 else 0
        inputs = a[1] if len(a) > 1 else None
        yield AdaptedModule(name, rank, inputs, b[0] if b else None, _scale(name, rank, stated))


def _scale(name: str, rank: int, stated: _Stated) -> float | None:
    alpha: float | None = _matching(stated.alphas, name, stated.alpha)
    if alpha is None or rank < 1:
        return None
    return alpha / (math.sqrt(rank) if stated.rslora else rank)


def _faults_of_tensors(
    halves: Mapping[str, Halves], header: Header, stated: _Stated, dora: bool
) -> Iterator[AdapterFault]:
    """Halves without the other one, and ranks that the config does not state."""
    if not halves:
        example = f", e.g. {header.tensors[0].name[:80]}" if header.tensors else ""
        yield AdapterFault("tensors", f"{WEIGHTS} has no LoRA tensors{example}")
    lone = [name for name, half in halves.items() if half.a is None or half.b is None]
    if lone:
        yield AdapterFault("tensors", f"{lone[0]} has only one of lora_A and lora_B")
    for name, half in sorted(halves.items()):
        if len(half.a or (0, 0)) < 2 or len(half.b or (0, 0)) < 2:
            yield AdapterFault("tensors", f"{name} has a LoRA tensor that is no matrix")
            return
        ranks = {half.a[0] if half.a else None, half.b[1] if half.b else None} - {None}
        wanted = _matching(stated.ranks, name, stated.r)
        if len(ranks) > 1:
            yield AdapterFault("tensors", f"lora_A and lora_B of {name} have different ranks")
            return
        if wanted is not None and ranks and ranks != {wanted}:
            has = ranks.pop()
            yield AdapterFault(
                "tensors", f"{name} has rank {has}, the config says {wanted}: of another run?"
            )
            return
    if dora and header.tensors and not has_magnitudes(header):
        yield AdapterFault("tensors", "the config says DoRA, the file has no magnitude vectors")


def _faults_of_others(others: Iterable[str], config: Mapping[str, Any]) -> Iterator[AdapterFault]:
    """Tensors that no engine knows, and biases that the config denies."""
    biased = (_text(config, "bias") or "none") != "none" or bool(config.get("lora_bias"))
    for name in others:
        if name.endswith(BIAS) and not biased:
            yield AdapterFault("tensors", f"the file has the bias {name[:80]}, the config none")
            return
        if not name.endswith((WHOLE, BIAS)):
            yield AdapterFault("tensors", f"{name[:80]} is no tensor of a LoRA adapter")
            return


def _faults_of_targets(
    targets: tuple[str, ...], config: Mapping[str, Any], modules: tuple[AdaptedModule, ...]
) -> Iterator[AdapterFault]:
    """Adapted modules that the config does not name."""
    if not targets or targets == ("all-linear",) or not modules or config.get("target_parameters"):
        return
    pattern = config.get("target_modules")
    if isinstance(pattern, str):
        return  # a regular expression of the training's own names
    other = [one.name for one in modules if not is_named(one.name, targets)]
    if other:
        listed = ", ".join(targets[:6])
        yield AdapterFault("tensors", f"{other[0]} is adapted, the config names only {listed}")


def _matching(patterns: Mapping[str, Any], name: str, default: Any) -> Any:
    """The value of the first pattern at the end of a module's name (PEFT: ``get_pattern_key``)."""
    for pattern, value in patterns.items():
        try:
            if name == pattern or re.match(rf"(.*\.)?({pattern})$", name[:512]):
                return value
        except (re.error, RecursionError):
            continue
    return default


def _rank(value: Any) -> int | None:
    plain = isinstance(value, int) and not isinstance(value, bool)
    return value if plain and 0 < value <= _MOST else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number = float(value)
    return number if abs(number) < _LARGEST else None  # not for NaN


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    return value if isinstance(value, str) and value else None


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    if not isinstance(value, (list, tuple)):
        return ()
    return tuple(sorted({one for one in value if isinstance(one, str)}))


def _token_count(value: Any) -> int:
    if isinstance(value, Mapping):
        return max((len(one) for one in value.values() if isinstance(one, list)), default=0)
    return len(value) if isinstance(value, list) else 0


def _shown(value: Any) -> str:
    return repr(value)[:60]
