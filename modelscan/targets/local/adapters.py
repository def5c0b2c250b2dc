"""LoRA adapters of a plan: fetched from their hub in the form that the engine needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.core.reference import Kind, Reference, parse_reference
from modelscan.engines.registry import engine

if TYPE_CHECKING:
    from modelscan.core.plan import Plan
    from modelscan.hub.downloads.pull import Pulled
    from modelscan.hub.downloads.types import Progress
    from modelscan.state.config import Config


def on_hub(text: str) -> Reference | None:
    """The repository of an adapter (``org/name``, ``hf:…``, ``ms:…``); None for a path."""
    name = text.rpartition("=")[2]
    if Path(name).expanduser().exists():
        return None
    reference = parse_reference(name)
    if reference.kind is Kind.NAME and name.count("/") == 1:
        return parse_reference(f"hf:{name}")
    return reference if reference.kind in (Kind.HUGGINGFACE, Kind.MODELSCOPE) else None


def any_remote(plan: Plan) -> bool:
    """Whether an adapter must be fetched."""
    return any(on_hub(text) for text in plan.adapters)


def fetch(plan: Plan, config: Config, report: Callable[[Progress], None] | None = None) -> Plan:
    """The plan with every adapter on this machine.

    llama.cpp needs one GGUF file per adapter; vLLM and SGLang ``NAME=FOLDER``. Raises
    NotDeployableError for a repository without an adapter of that kind.
    """
    places = {}
    for text in plan.adapters:
        reference = on_hub(text)
        if reference is not None:
            places[text] = _fetched(plan, text, reference, config, report)
    return replace(
        plan,
        adapters=tuple(places.get(text, text) for text in plan.adapters),
        parameters=tuple(places.get(word, word) for word in plan.parameters),
    )


def _fetched(
    plan: Plan,
    text: str,
    reference: Reference,
    config: Config,
    report: Callable[[Progress], None] | None,
) -> str:
    from modelscan.hub.downloads.pull import pull

    gguf = engine(plan.backend).runs_gguf
    pulled = pull(
        replace(
            plan, source=reference.kind.value, repo=reference.value, revision=reference.revision,
            files=(), adapters=(), format="gguf" if gguf else "safetensors",
        ),
        config,
        report,
    )  # fmt: skip
    if gguf:
        return str(_only_gguf(plan, pulled))
    name = text.partition("=")[0] if "=" in text else reference.value.rpartition("/")[2]
    return f"{name}={pulled.folder}"


def _only_gguf(plan: Plan, pulled: Pulled) -> Path:
    names = [file.path for file in pulled.files]
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise NotDeployableError(
            f"{plan.backend} needs an adapter as one GGUF file; {pulled.repo} has {listed}",
            hint="convert it with llama.cpp's convert_lora_to_gguf.py and give the file's path",
            code="adapter_format", details={"files": names},
        )  # fmt: skip
    return pulled.folder / names[0]
