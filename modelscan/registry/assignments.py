"""``KEY=VALUE`` of the command line as a JSON Merge Patch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.units import parse_bytes, parse_tokens
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.types import Lineage, RegistryModelFacts, RegistryVersionFacts

_BYTES = ("size_bytes", "min_vram_bytes")
_TOKENS = ("context_tokens",)
_NUMBERS = ("parameters",)
_LISTS = ("modalities",)
_FLAGS = ("adapter", "tokenizer_kept", "template_kept")
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def model_patch(pairs: Sequence[str]) -> dict[str, Any]:
    """A patch of a model. Raises RegistryRefused (invalid) for an unknown key or a wrong value."""
    names = [one.name for one in fields(RegistryModelFacts) if one.name != "slug"]
    return _patch(pairs, names)


def version_patch(pairs: Sequence[str]) -> dict[str, Any]:
    """A patch of a version; ``lineage.method=sft`` sets a field of the lineage."""
    names = [
        one.name for one in fields(RegistryVersionFacts) if one.name not in ("files", "lineage")
    ]
    lineage = [f"lineage.{one.name}" for one in fields(Lineage)]
    return _patch(pairs, [*names, *lineage, "state"])


def _patch(pairs: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise RegistryRefused("invalid", f"'{pair}' is not KEY=VALUE")
        if name not in names:
            near = nearest(name, names)
            meant = f"; did you mean '{near[0]}'?" if near else ""
            raise RegistryRefused(
                "invalid", f"there is no field '{name}'{meant} The fields are {', '.join(names)}"
            )
        outer, dot, inner = name.partition(".")
        if dot:
            patch.setdefault(outer, {})[inner] = _value(inner, text)
        else:
            patch[name] = _value(name, text)
    return patch


def _value(name: str, text: str) -> Any:
    """``KEY=`` removes a value."""
    if not text:
        return None
    try:
        if name in _BYTES:
            return parse_bytes(text)
        if name in _TOKENS:
            return parse_tokens(text)
    except UsageError as error:
        raise RegistryRefused("invalid", f"{name}: {error.message}", hint=error.hint) from None
    if name in _NUMBERS:
        if not text.isascii() or not text.isdigit():
            raise RegistryRefused("invalid", f"{name} is a whole number, not '{text}'")
        return int(text)
    if name in _LISTS:
        return [part.strip() for part in text.split(",") if part.strip()]
    if name in _FLAGS:
        if text.lower() not in _TRUTH:
            raise RegistryRefused("invalid", f"{name} is true or false, not '{text}'")
        return _TRUTH[text.lower()]
    return text
