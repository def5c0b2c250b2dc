"""Recommended sampling values in ``generation_config.json`` and in a GGUF header. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.sampling import Sampling

FILE = "generation_config.json"
GGUF = "GGUF header"
# Field -> (smallest, largest value that a sampler accepts).
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0), "top_p": (0.0, 1.0), "top_k": (0, 1_000_000), "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 5.0),
}  # fmt: skip
# The keys of llama.cpp's converter, below ``general.sampling.``.
_GGUF_KEYS = {
    "temperature": "temp", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}  # fmt: skip


def from_generation_config(config: Mapping[str, Any]) -> Sampling | None:
    """The values of the file; None if it states none or that the model decodes greedily."""
    if config.get("do_sample") is False:
        return None
    return _sampling(config, FILE)


def from_gguf(metadata: Mapping[str, Any]) -> Sampling | None:
    """The values in a GGUF header; None without any."""
    stated = {name: metadata.get(f"general.sampling.{key}") for name, key in _GGUF_KEYS.items()}
    return _sampling(stated, GGUF)


def _sampling(stated: Mapping[str, Any], source: str) -> Sampling | None:
    values = {name: _number(stated.get(name), name) for name in _RANGES}
    if all(value is None for value in values.values()):
        return None
    top_k = values["top_k"]
    return Sampling(
        values["temperature"], values["top_p"], None if top_k is None else int(top_k),
        values["min_p"], values["repetition_penalty"], source,
    )  # fmt: skip


def _number(value: Any, name: str) -> float | None:
    least, most = _RANGES[name]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and least <= value <= most else None
