"""MODEL (a file, a folder, a catalog name or a hub repository) as a ResolvedModel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import OfflineError, UsageError
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
    label = label or _format_in_name(reference, model)
    return model if label is None else _only(model, label, reference.value)


def _format_in_name(reference: Reference, model: ResolvedModel) -> str | None:
    """The format at the end of a name that is none of the model's own (``Qwen3-8B-Q4_K_M``)."""
    from modelscan.formats.repo_names import split_repo_name

    if reference.kind is not Kind.NAME or "/" in reference.value or model.model is None:
        return None
    own = (model.model.id, model.model.name, *model.model.aliases)
    label = split_repo_name(reference.value).quantization
    named = any(label == split_repo_name(name.rpartition("/")[2]).quantization for name in own)
    return None if named else label


def _load(
    reference: Reference, config: Config, workload: Workload, *, cached: bool
) -> ResolvedModel:
    if reference.kind is Kind.NAME:
        from modelscan.models.from_catalog import from_name

        return from_name(reference.value, config, workload)
    from modelscan.models.from_hub import from_hub

    try:
        return from_hub(reference, config, workload, cached=cached)
    except OfflineError:
        known = _known_repository(reference, config, workload)
        if known is None:
            raise
        return known


def _known_repository(
    reference: Reference, config: Config, workload: Workload
) -> ResolvedModel | None:
    """Offline, the catalog's facts about a repository; None if it lists no weights there."""
    from modelscan.catalog.search.lookup import find_known
    from modelscan.models.from_catalog import from_model

    if reference.kind is not Kind.HUGGINGFACE or reference.revision is not None:
        return None
    model = find_known(reference.value, config.paths)
    if model is None:
        return None
    makers = model.variants[0].repo.lower() if model.variants else ""
    named = (makers, reference.value.lower())
    alone = replace(model, variants=tuple(v for v in model.variants if v.repo.lower() in named))
    resolved = replace(from_model(alone, config, workload), model=model)
    own = [c for c in resolved.candidates if c.variant.repo.lower() == reference.value.lower()]
    if not own:
        return None
    note = f"{reference.value} was not read: the catalog's facts about it are used"
    return replace(resolved, candidates=tuple(own), warnings=(*resolved.warnings, note))


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
