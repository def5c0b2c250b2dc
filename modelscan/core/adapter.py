"""A LoRA adapter as its files describe it, and the checks of one against a base and an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

AdapterFormat = Literal["peft", "gguf"]
CheckState = Literal["ok", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class AdaptedModule:
    """One adapted matrix: ``inputs`` -> ``rank`` -> ``outputs`` values; None where a half is
    missing. ``scale`` is what its product is multiplied by; None if not known.
    """

    name: str  # as the base names it: model.layers.0.self_attn.q_proj, blk.0.attn_q
    rank: int
    inputs: int | None
    outputs: int | None
    scale: float | None


@dataclass(frozen=True, slots=True)
class AdapterFault:
    """Something in the files that no engine can load, or that contradicts itself."""

    name: str  # of the check that it fails: files, config, tensors
    reason: str


@dataclass(frozen=True, slots=True)
class AdapterCheck:
    """One check with its reason; ``unknown`` says what is missing to decide it."""

    name: str
    state: CheckState
    reason: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """``r`` and ``alpha`` as stated, ``max_rank`` the largest rank of any module.

    ``base``: the name or path of the model that it was trained on, as its config states it.
    ``target_modules``: last parts of module names, or one pattern. ``unread``: keys of the config
    that change the result and that nothing here understands. ``architecture``: of a GGUF file.
    ``base_match``: whether its base is the model that it is loaded with, by their names.
    """

    format: AdapterFormat
    path: str
    base: str | None = None
    revision: str | None = None
    r: int | None = None
    max_rank: int | None = None
    alpha: float | None = None
    target_modules: tuple[str, ...] = ()
    dora: bool = False
    rslora: bool = False
    bias: str = "none"
    modules_to_save: tuple[str, ...] = ()
    trainable_tokens: int = 0
    method: str = "LORA"
    task: str | None = None
    trained_with: str | None = None  # version of peft
    architecture: str | None = None
    file_bytes: int = 0
    modules: tuple[AdaptedModule, ...] = ()
    unread: tuple[str, ...] = ()
    faults: tuple[AdapterFault, ...] = ()
    base_match: AdapterCheck | None = None

    @property
    def scales_differ(self) -> bool:
        """Whether modules are scaled by other factors than the stated rank and alpha give."""
        return len({round(one.scale, 6) for one in self.modules if one.scale is not None}) > 1


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What is shown and kept of an adapter: ``Adapter`` without its matrices and its path."""

    format: AdapterFormat
    base: str | None
    revision: str | None
    r: int | None
    max_rank: int | None
    alpha: float | None
    target_modules: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    dora: bool
    rslora: bool
    bias: str
    method: str
    architecture: str | None
    file_bytes: int


def facts_of(adapter: Adapter) -> AdapterFacts:
    """The facts of an adapter."""
    return AdapterFacts(**{one.name: getattr(adapter, one.name) for one in fields(AdapterFacts)})


def failures(checks: Iterable[AdapterCheck]) -> tuple[AdapterCheck, ...]:
    """The checks that fail."""
    return tuple(check for check in checks if check.state == "fails")
