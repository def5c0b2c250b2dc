"""MODEL (a file, a folder, a catalog name or a hub repository) as a ResolvedModel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.reference import Kind, Reference, parse_reference
from modelscan.state.bundled import examples_dir

if TYPE_CHECKING:
    from pathlib import Path

    from modelscan.core.plan import ResolvedModel
    from modelscan.core.workload import Workload
    from modelscan.state.config import Config

DEMO = "demo"
DEMO_FILE = "demo-model.gguf"


def load_subject(
    text: str, config: Config, workload: Workload, *, cached: bool = True
) -> ResolvedModel:
    """Resolve MODEL to all variants the planner may choose from.

    ``cached`` False: query the hub even if the repository is on this machine. Raises UsageError
    (exit 2) for an unknown or ambiguous name or a file that is no model, OfflineError if the
    network is needed and ``--offline`` is set. A model with closed weights has ``closed`` set: the
    planner refuses it.
    """
    from modelscan.models.measured_quality import with_measured_quality

    resolved = _of_registry(text, config, workload, cached=cached)
    model = with_measured_quality(resolved, config.paths)
    files: list[Path] = []
    if workload.parameters:
        from modelscan.models.named_files import adapter_files, with_named_files

        model, files = with_named_files(model, workload), adapter_files(workload)
    if not workload.adapters and not files:
        return model
    from modelscan.models.adapters import with_adapters

    return with_adapters(model, text, workload, files, config.paths)


def _of_registry(text: str, config: Config, workload: Workload, *, cached: bool) -> ResolvedModel:
    """The weights of a version of the registry, where MODEL names one."""
    from modelscan.models.from_registry import only_registered, registered

    found, notes = registered(text, config)
    if found is None:
        model = _resolved(text, config, workload, cached=cached)
        return replace(model, warnings=(*model.warnings, *notes)) if notes else model
    if workload.quantization is None:
        workload = replace(workload, quantization=found.version.quantization)
    return only_registered(_resolved(found.text, config, workload, cached=cached), found)


def _resolved(text: str, config: Config, workload: Workload, *, cached: bool) -> ResolvedModel:
    if text.strip() == DEMO:
        return _demo(workload)
    reference = parse_reference(text)
    if reference.kind is Kind.PATH:
        from modelscan.models.from_local import from_path

        return from_path(reference.value, workload)
    if reference.kind is Kind.NEIGHBOUR:
        from modelscan.models.from_neighbour import from_neighbour

        return from_neighbour(reference.value, workload)
    label = reference.quantization
    if label is not None and workload.quantization is None:
        workload = replace(workload, quantization=label)
    model = _load(reference, config, workload, cached=cached)
    return model if label is None else _only(model, label, reference.value)


def _load(
    reference: Reference, config: Config, workload: Workload, *, cached: bool
) -> ResolvedModel:
    if reference.kind is Kind.NAME:
        from modelscan.models.from_catalog import from_name

        return from_name(reference.value, config, workload)
    from modelscan.models.from_hub import from_hub

    return from_hub(reference, config, workload, cached=cached)


def _only(model: ResolvedModel, label: str, name: str) -> ResolvedModel:
    """The model with only the weights of the format at the end of the name; those of the named
    repository, if it has them.

    Raises UsageError (exit 2) if no weights have that format.
    """
    from modelscan.formats.quantization import means

    if model.closed or not model.candidates:
        return model
    fitting = [c for c in model.candidates
               if means(label, c.variant.quantization, c.variant.format)]  # fmt: skip
    own = [c for c in fitting if c.variant.repo.lower() == name.lower()]
    if fitting:
        return replace(model, candidates=tuple(own or fitting))
    labels = sorted({c.variant.quantization for c in model.candidates if c.variant.quantization})
    raise UsageError(
        f"{model.id} has no weights in the format {label} that its name asks for: "
        f"it has {', '.join(labels)}",
        hint=f"modelscan plan {model.id}",
        code="unknown_quantization",
    )


def load_deployable(
    text: str, config: Config, workload: Workload, *, cached: bool = True
) -> ResolvedModel:
    """Resolve MODEL in order to fetch and run it.

    Raises NotDeployableError (exit 3) for weights that are closed or unsafe to load, and the errors
    of ``load_subject``.
    """
    from modelscan.planner import refuse

    model = load_subject(text, config, workload, cached=cached)
    refuse.closed(model)
    refuse.pickles(model, workload)
    return model


def _demo(workload: Workload) -> ResolvedModel:
    from modelscan.models.from_local import from_path

    return from_path(str(examples_dir() / DEMO_FILE), workload, name=DEMO)
