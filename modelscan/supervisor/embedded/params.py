"""Parsed options as xllamacpp's ``CommonParams``; runs only in the engine's process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelscan.engines.llamacpp.options import OPTIONS, ServerOption, drafters


def apply(params: Any, module: Any, options: Sequence[tuple[str, str | None]]) -> None:
    """Set the options on a ``CommonParams`` of ``module`` (xllamacpp), in order.

    The binding drafts only if the type is set: a draft model alone means ``draft-simple``.
    """
    names = {name for name, _ in options}
    if "spec-draft-model" in names and "spec-type" not in names:
        options = [*options, ("spec-type", "draft-simple")]
    for name, value in options:
        if name == "rerank":
            params.embedding = True
            params.pooling_type = module.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
        elif name in ("lora", "lora-scaled"):
            _add_adapter(params, module, str(value), scaled=name == "lora-scaled")
        elif name == "spec-type":
            kinds = module.common_speculative_type
            params.speculative.types = [getattr(kinds, kind) for kind in drafters(str(value))]
        elif OPTIONS[name].attribute:
            _set(params, module, OPTIONS[name], value)


def _set(params: Any, module: Any, option: ServerOption, value: str | None) -> None:
    owner = params
    *path, attribute = option.attribute.split(".")
    for part in path:
        owner = getattr(owner, part)
    converted = option.value if option.convert is None else option.convert(str(value))
    if option.enum is not None:
        converted = getattr(getattr(module, option.enum), converted)
    setattr(owner, attribute, converted)


def _add_adapter(params: Any, module: Any, text: str, *, scaled: bool) -> None:
    path, _, scale = text.rpartition(":") if scaled else (text, "", "")
    adapter = module.CommonAdapterLoraInfo(path or text, float(scale) if scale else 1.0)
    params.lora_adapters = [*params.lora_adapters, adapter]
