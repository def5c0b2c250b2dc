"""The names of tensors in a PEFT adapter: LoRA matrices, and what else is in the file. Pure.

Names: peft 0.21 (``get_peft_model_state_dict``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from modelscan.formats.safetensors import Header

_HALF = re.compile(r"^(?P<module>.+)\.lora_(?P<half>A|B|embedding_A|embedding_B)(?:\.weight)?$")
_MAGNITUDE = re.compile(r"\.lora_magnitude_vector(?:\.weight)?$")
# Of the base, as PEFT and vLLM know them: rows of a larger vocabulary, deltas of single tokens.
_OF_TOKENS = re.compile(r"\.(?:base_layer\.weight|trainable_tokens_\w+)$")
WHOLE, BIAS = ".weight", ".bias"
_PREFIX = "base_model.model."


class Halves(NamedTuple):
    """The shapes of A (rank x inputs) and B (outputs x rank), as they are stored."""

    a: tuple[int, ...] | None
    b: tuple[int, ...] | None
    embedding: bool


def halves_of(header: Header) -> dict[str, Halves]:
    """The LoRA matrices of a file by the names of the base's modules."""
    found: dict[str, Halves] = {}
    for tensor in header.tensors:
        match = _HALF.match(tensor.name)
        if match is None:
            continue
        name = match["module"].removeprefix(_PREFIX)
        old = found.get(name, Halves(None, None, False))
        key = "a" if match["half"].endswith("A") else "b"
        embedding = match["half"].startswith("embedding")
        found[name] = old._replace(**{key: tensor.shape}, embedding=embedding)
    return found


def other_tensors(header: Header | None) -> tuple[str, ...]:
    """The tensors that are no part of a LoRA matrix, by the names that the base has."""
    names = (one.name for one in header.tensors) if header is not None else ()
    known = (_HALF.match, _MAGNITUDE.search, _OF_TOKENS.search)
    return tuple(
        name.removeprefix(_PREFIX) for name in names if not any(find(name) for find in known)
    )


def whole_modules(others: Iterable[str], stated: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that the adapter replaces: as stated, and those that are stored unstated."""
    stored = (name.removesuffix(WHOLE) for name in others if name.endswith(WHOLE))
    return tuple(sorted({*stated, *(name for name in stored if not is_named(name, stated))}))


def is_named(module: str, targets: Iterable[str]) -> bool:
    """PEFT's rule: the whole name, or its end after a point."""
    return any(module == name or module.endswith(f".{name}") for name in targets)


def has_magnitudes(header: Header | None) -> bool:
    """Whether there is a vector of magnitudes, as DoRA trains them."""
    return header is not None and any(_MAGNITUDE.search(one.name) for one in header.tensors)
