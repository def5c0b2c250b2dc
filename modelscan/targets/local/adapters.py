"""LoRA adapters of a plan: fetched from their hub in the form that the engine needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.adapter import failures
from modelscan.core.errors import NotDeployableError
from modelscan.engines.adapter_rules import adapter_checks
from modelscan.engines.registry import engine
from modelscan.models.adapters import on_hub, read_adapter

if TYPE_CHECKING:
    from modelscan.core.plan import Plan, ResolvedModel
    from modelscan.core.reference import Reference
    from modelscan.hub.downloads.pull import Pulled
    from modelscan.hub.downloads.types import Progress
    from modelscan.state.config import Config


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


def check_fetched(plan: Plan, model: ResolvedModel, before: Plan) -> None:
    """Check the adapters that were on a hub when the plan was made.

    Raises NotDeployableError for one that the engine or the base does not take.
    """
    one = engine(plan.backend)
    shape = next((c.shape for c in model.candidates if c.variant.format == plan.format), None)
    for place, text in zip(plan.adapters, before.adapters, strict=True):
        if place == text:
            continue
        adapter = read_adapter(Path(place.partition("=")[2] or place))
        failed = failures(adapter_checks(one, adapter, shape, plan.backend_version))
        if failed:
            raise NotDeployableError(
                f"the adapter {text} does not run here: {failed[0].reason}",
                hint=f"modelscan registry check-adapter {adapter.path} --base {plan.model}",
                code="adapter", details={"checks": [check.name for check in failed]},
            )  # fmt: skip


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
