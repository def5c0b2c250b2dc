"""Parses GPUStack's model catalog (YAML in the wheel, sets of a server) into records.

Keys that start with a dot are YAML variables, also inside a set. ``size`` is in billions unless
``size_unit`` is M or T. A capability that is not listed is unknown, not absent. Parameters and GPU
filters are copied unchanged; ``{data_dir}`` is left for the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from modelscan.catalog.records import SourceRecord
from modelscan.core.errors import RemoteError
from modelscan.core.model import Spec
from modelscan.core.yaml_reader import YamlProblem, yaml_value

TASKS = {
    "llm": "chat",
    "image": "image",
    "text_to_speech": "text_to_speech",
    "speech_to_text": "speech_to_text",
    "embedding": "embedding",
    "reranker": "rerank",
}
_LONGEST = 16 << 20
_UNITS = {"M": 10**6, "B": 10**9, "T": 10**12}
_CONTEXT = re.compile(r"^context/(\d+(?:\.\d+)?)([KM]?)$", re.IGNORECASE)


def parse_catalog(text: str | bytes, *, flavour: str = "huggingface") -> tuple[SourceRecord, ...]:
    """One ``set`` record per model set. Raises RemoteError if it is not that catalog.

    ``flavour`` (huggingface
    modelscope) distinguishes the two files, which name the same sets.
    """
    source = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    try:
        data = yaml_value(source, max_characters=_LONGEST, repeated=True)
    except YamlProblem as error:
        raise RemoteError(f"GPUStack's catalog is not YAML: {error}") from error
    sets = data if isinstance(data, list) else data.get("model_sets") if _is_map(data) else None
    if not isinstance(sets, list):
        raise RemoteError("GPUStack's catalog has no model_sets")
    return tuple(record(entry, flavour) for entry in sets if _is_map(entry) and entry.get("name"))


def record(
    entry: Mapping[str, Any],
    flavour: str = "huggingface",
    specs: Iterable[Mapping[str, Any]] | None = None,
) -> SourceRecord:
    """One model set; ``specs`` if the server sends them separately."""
    name = str(entry["name"])
    items = entry.get("specs") or () if specs is None else specs
    recipes = tuple(spec(item) for item in items if _is_map(item) and _repo(item))
    hub = tuple(dict.fromkeys(s.repo for s in recipes if s.source == "huggingface"))
    return SourceRecord(
        key=name if flavour == "huggingface" else f"{flavour}:{name}",
        kind="set",
        name=name,
        repos=hub,
        facts=facts(entry),
        specs=recipes,
    )


def facts(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The facts in a set, by ``Model`` field."""
    capabilities = _texts(entry.get("capabilities"))
    size, active = _sizes(entry)
    stated = {
        "name": str(entry["name"]),
        "parameters": size,
        "active_parameters": active,
        "license": ", ".join(_texts(entry.get("licenses"))) or None,
        "task": next((TASKS[c] for c in _texts(entry.get("categories")) if c in TASKS), None),
        "release_date": str(entry.get("release_date") or "") or None,
        "open_weights": True,
        "limits.context_tokens": context_tokens(capabilities),
        "capabilities.tools": "tools" in capabilities or None,
        "capabilities.vision": "vision" in capabilities or None,
    }
    return {field: value for field, value in stated.items() if value is not None}


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value or ()]


def _sizes(entry: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Total and active parameters."""
    unit = str(entry.get("size_unit") or "B").upper()
    size = _count(entry.get("size"), unit)
    active = _count(entry.get("activated_size"), unit)
    if size and active and active > size:  # the unit applies only to ``size``
        active = _count(entry.get("activated_size"), "B")
    return size, active


def context_tokens(capabilities: Iterable[str]) -> int | None:
    """``context/128K`` -> 131072 tokens."""
    for item in capabilities:
        match = _CONTEXT.match(item)
        if match:
            scale = {"": 1, "K": 1 << 10, "M": 1 << 20}[match[2].upper()]
            return round(float(match[1]) * scale)
    return None


def spec(item: Mapping[str, Any]) -> Spec:
    """One recipe, unchanged; variables (dot keys) are dropped."""
    backend = item.get("backend_version")
    speculative = item.get("speculative_config")
    return Spec(
        source=str(item.get("source") or "huggingface"),
        repo=str(_repo(item)),
        backend=str(item.get("backend") or "vLLM"),
        quantization=_optional(item.get("quantization")),
        mode=_optional(item.get("mode")),
        filename=_optional(item.get("huggingface_filename") or item.get("model_scope_file_path")),
        backend_version=None if backend is None else str(backend),
        backend_parameters=tuple(str(p) for p in item.get("backend_parameters") or ()),
        gpu_filters=_plain(item.get("gpu_filters")),
        env={k: str(v) for k, v in _plain(item.get("env")).items()},
        categories=tuple(str(c) for c in item.get("categories") or ()),
        speculative_config=_plain(speculative) if speculative else None,
    )


def _repo(item: Mapping[str, Any]) -> str | None:
    keys = ("huggingface_repo_id", "model_scope_model_id", "local_path")
    return next((str(item[k]) for k in keys if item.get(k)), None)


def _plain(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {str(k): v for k, v in value.items() if not str(k).startswith(".") and v is not None}


def _optional(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _count(value: Any, unit: str) -> int | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    return round(value * _UNITS[unit]) if number and unit in _UNITS else None


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)
