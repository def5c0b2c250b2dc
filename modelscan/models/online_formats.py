"""16-bit weights as candidates that an engine quantizes while it loads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.plan import Candidate
from modelscan.formats.quantization import bits_per_weight, canonical
from modelscan.models.quantization_quality import quality

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape

MADE = ("FP8", "BNB-4bit")
_FP8 = ("FP8", "FP8-BLOCK")
_SIXTEEN, _FOUR_BITS = 16.0, 5.0  # bits per weight
Shapes = Callable[[str], "ModelShape"]


def online(original: Candidate, task: str, shape: Shapes) -> list[Candidate]:
    """A model's only weights in the formats of ``MADE``, whose ``shape`` is computed; none unless
    they are in 16 bits.
    """
    variant = original.variant
    wide = (bits_per_weight(variant.quantization) or 0) >= _SIXTEEN
    if variant.format != "safetensors" or task != "chat" or not wide:
        return []
    return [_made(original, label, shape) for label in MADE]


def missing_formats(others: Iterable[str | None]) -> Iterator[str]:
    """The formats of ``MADE`` that no published one makes superfluous."""
    known = [canonical(other) for other in others]
    if not any(other in _FP8 for other in known):
        yield "FP8"
    if not any((bits_per_weight(other) or _SIXTEEN) < _FOUR_BITS for other in known):
        yield "BNB-4bit"


def _made(original: Candidate, label: str, shape: Shapes) -> Candidate:
    variant = replace(original.variant, quantization=label, weight_bytes=None)
    return Candidate(
        variant, lambda: replace(shape(label), path=original.shape.path, quantization=label),
        quality(label), None, original.publisher, online=True,
    )  # fmt: skip
