"""Names as other programs spell them: Ollama's ``llama3.1:8b``, a provider's ``qwen3-8b:free``.

Ollama's name without ``text`` or ``base`` is the instruct model, where there are both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.catalog.curated import curated
from modelscan.catalog.index.layout import NameKind
from modelscan.catalog.index.search_words import spelling
from modelscan.catalog.link.name_differences import DECORATION, SERVING
from modelscan.formats.repo_names import split_repo_name, tokens

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.core.model import Model

_OLLAMA = re.compile(
    r"^(?:ollama[:/])?(?:library/)?(?P<name>[a-z][\w.-]*):(?P<tag>[a-z0-9][\w.-]*)$", re.IGNORECASE
)
_SIZE = re.compile(r"^(?P<count>\d+(?:\.\d+)?)(?P<unit>[mbt])$")
_UNITS, _ROUNDED = {"m": 1e6, "b": 1e9, "t": 1e12}, 0.15
_BASE = re.compile(r"(?:^|-)(?:text|base)(?=-|$)")


def without_service(text: str) -> str | None:
    """``qwen3-8b:free`` -> ``qwen3-8b``; None without a word for price or speed at the end."""
    name, colon, tag = text.rpartition(":")
    return name if colon and tag.lower() in DECORATION else None


def without_format(text: str) -> str | None:
    """``Qwen3-8B-Q4_K_M`` -> ``Qwen3-8B``; None for a repository or without a format at the end."""
    split = split_repo_name(text)
    return split.base if split.quantization and "/" not in text and split.base else None


def ollama_row(index: Index, text: str) -> int | None:
    """The row of the model that Ollama calls so; None if it is no such name or unknown."""
    match = _OLLAMA.match(text)
    if match is None:
        return None
    name, tag = match["name"].lower(), match["tag"].lower()
    known = curated().ollama.get(f"{name}:{tag}")
    if known is not None:
        rows = index.by_name(known, (NameKind.ID,))
        return rows[0][1] if rows else None
    for candidate in _candidates(name, tag):
        row = _only(index, candidate)
        if row is not None:
            return row
    return _of_size(index, name, tag)


def _of_size(index: Index, name: str, tag: str) -> int | None:
    """The model with that name, if the tag is only its size: ``deepseek-v3.1:671b``."""
    size = _SIZE.match(tag)
    row = _only(index, name) if size else None
    if size is None or row is None:
        return None
    stated = float(size["count"]) * _UNITS[size["unit"]]
    parameters = index.model(row).parameters
    return row if parameters and abs(parameters / stated - 1) < _ROUNDED else None


def _candidates(name: str, tag: str) -> list[str]:
    """The catalog's possible names, the best first."""
    plain = f"{name} {tag}"
    if _BASE.search(tag):
        bare = f"{name} {_BASE.sub('', tag)}"
        return [f"{bare} base", bare]
    return [*(f"{plain} {word}" for word in SERVING), *(f"{plain} {w} hf" for w in SERVING), plain]


def _only(index: Index, name: str) -> int | None:
    """The one model with that name, or with weights if several have it."""
    for kind in (NameKind.SPELLING, NameKind.HOSTED):
        rows = list(dict.fromkeys(row for _, row in index.by_name(spelling(name), (kind,))))
        if len(rows) > 1:
            rows = index.with_weights(rows)
        if len(rows) == 1:
            return rows[0]
    return None


def note(index: Index, text: str, model: Model) -> str | None:
    """What a user should know about how this name was read; None if it names the model, or one
    without weights.
    """
    if not model.variants:
        return None
    model_id = model.id
    if text.lower() in (model_id, model_id.rpartition("/")[2]) and not _instruct(index, model_id):
        return None
    if _OLLAMA.match(text) and without_service(text) is None:
        kind = "the instruct model " if set(tokens(model_id)) & set(SERVING) else ""
        return f"{text} is read as Ollama's name of {kind}{model_id}"
    instruct = _instruct(index, model_id)
    if instruct is None or text.lower() == model_id:
        return None
    return f"{text} is the base model {model_id}; the instruct model is {instruct}"


def _instruct(index: Index, model_id: str) -> str | None:
    """The id of the instruct or chat version of a model whose name has no such word.

    None also where the base model is one of its own (``…-base``): then the plain name is the model
    that was trained to answer, as in Qwen3.
    """
    if index.by_name(f"{model_id}-base", (NameKind.ID,)):
        return None
    lab, _, name = model_id.rpartition("/")
    for word in SERVING:
        for candidate in (f"{model_id}-{word}", f"{lab}/{name.removesuffix('-base')}-{word}"):
            if candidate != model_id and index.by_name(candidate, (NameKind.ID,)):
                return candidate
    return None
