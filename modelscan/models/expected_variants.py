"""The quantizations a model's GGUF repositories usually have, where their file lists are not known.

Sizes follow from the architecture, file names from the publisher's naming. These variants are
marked ``expected``: a repository's own list replaces them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.model import WeightFile
from modelscan.formats.gguf_naming import expected_files, usual_quantizations
from modelscan.formats.quantization import bits_per_weight, canonical

if TYPE_CHECKING:
    from modelscan.core.model import Model, Variant

# Formats with experts or matrices in four-bit floats: converters keep those as they are, so every
# GGUF file of such a model has about the size of MXFP4.
FOUR_BIT_FLOATS = ("MXFP4", "NVFP4")
CONVERTED_TASKS = (None, "chat", "embedding", "rerank")  # llama.cpp runs no others


def with_expected(model: Model, variants: Sequence[Variant], original: str) -> tuple[Variant, ...]:
    """The variants, with the usual quantizations of GGUF repositories whose list is incomplete.

    ``original``: the format the model was published in. Unchanged where the size of the model is
    not known, or a hub listed all files of one of its repositories.
    """
    sized = model.parameters or model.architecture is not None
    whole = any(v.listing == "whole" for v in variants)
    if whole or not sized or model.task not in CONVERTED_TASKS:
        return tuple(variants)
    by_repo: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        if variant.format == "gguf":
            by_repo.setdefault((variant.source, variant.repo), []).append(variant)
    added = [variant for known in by_repo.values() for variant in _missing(model, known, original)]
    return (*variants, *added)


def unconfirmed(variants: Iterable[Variant]) -> tuple[str, ...]:
    """The repositories whose GGUF files are expected, not listed."""
    return tuple(dict.fromkeys(v.repo for v in variants if v.listing == "expected"))


def _missing(model: Model, known: Sequence[Variant], original: str) -> Iterator[Variant]:
    """The expected variants of one repository that no source lists."""
    first = known[0]
    listed = {v.quantization.upper() for v in known if v.quantization}
    if any(v.quantization and not v.files for v in known):  # the repository's name says which
        return
    for label in _labels(first.repo, original):
        if label not in listed:
            paths = expected_files(first.repo, label, _size(model, label))
            yield replace(
                first,
                quantization=label,
                files=tuple(WeightFile(path, None) for path in paths),
                weight_bytes=None,
                listing="expected",
                listed_at=None,
            )


def _labels(repo: str, original: str) -> tuple[str, ...]:
    four_bits = canonical(original) in FOUR_BIT_FLOATS
    return ("MXFP4",) if four_bits else usual_quantizations(repo)


def _size(model: Model, label: str) -> float | None:
    """About the file's bytes, which decide whether it is split."""
    bits, parameters = bits_per_weight(label), model.parameters
    return bits * parameters / 8 if bits and parameters else None
