"""A hub repository as a ResolvedModel: its file list, config.json, and GGUF headers.

Weights are never read: a GGUF header is a few MiB, fetched by range requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import OfflineError, UsageError
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.core.reference import Kind, Reference
from modelscan.formats import gguf
from modelscan.formats.files import projectors
from modelscan.formats.quantization import means
from modelscan.memory import weights_gguf
from modelscan.memory.shape import from_config, from_gguf
from modelscan.models.from_config import config_task, label
from modelscan.models.from_local import gguf_task, projects_into
from modelscan.models.online_formats import online
from modelscan.models.quantization_quality import quality
from modelscan.models.templates import hub_template

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.model import Variant, WeightFile
    from modelscan.core.workload import Workload
    from modelscan.hub.repo_info import RepoInfo
    from modelscan.hub.repository import Hub
    from modelscan.state.config import Config


def from_hub(
    reference: Reference, config: Config, workload: Workload, *, cached: bool = True
) -> ResolvedModel:
    """The ResolvedModel of ``hf:ORG/REPO`` or ``ms:ORG/REPO``.

    A snapshot in the hub's own cache is used, unless ``cached`` is False or it lacks the requested
    quantization. Raises OfflineError if the network is needed and ``--offline`` is set, UsageError
    for a repository without weights.
    """
    offline = config.offline_because(reference.kind.value)
    model = _from_cache(reference, config, workload) if cached or offline else None
    if model is not None and (offline or _has_quantization(model, workload)):
        return model
    if offline:
        raise OfflineError(
            f"{reference.value} is not on this machine, and {offline}",
            hint=f"modelscan plan {_prefix(reference)}{reference.value}",
            details={"repo": reference.value},
        )
    from modelscan.hub.repository import Hub

    with Hub.from_config(config) as hub:
        return _read(hub, reference, workload)


def _from_cache(reference: Reference, config: Config, workload: Workload) -> ResolvedModel | None:
    """The model from another tool's snapshot, or offline from modelscan's own download; None if
    neither exists.
    """
    from modelscan.hub.cache import snapshot
    from modelscan.hub.downloads.pull import pulled_before
    from modelscan.models.from_local import from_path

    folder = snapshot(reference)
    if folder is None and config.offline_because(reference.kind.value):
        pulled = pulled_before(reference, config)
        folder = pulled.folder if pulled else None
    if folder is None:
        return None
    model = from_path(str(folder), workload, name=reference.value)
    return replace(model, id=reference.value, name=reference.value)


def _has_quantization(model: ResolvedModel, workload: Workload) -> bool:
    quantization = workload.quantization
    variants = [candidate.variant for candidate in model.candidates]
    return quantization is None or any(
        means(quantization, v.quantization, v.format) for v in variants
    )


def _prefix(reference: Reference) -> str:
    return "ms:" if reference.kind is Kind.MODELSCOPE else "hf:"


def _read(hub: Hub, reference: Reference, workload: Workload) -> ResolvedModel:
    from modelscan.hub.variants import task_of, variants

    info = hub.repo_info(reference)
    listed = variants(info)
    settings = hub.fetch_config(reference)
    if any(variant.format == "gguf" for variant in listed):
        candidates, task = _gguf_candidates(hub, reference, info, listed, workload)
    else:
        candidates, task = _repository(hub, reference, info, listed, settings)
    if not candidates:
        raise UsageError(
            f"{reference.value} has no weights that an engine here could load",
            hint=f"modelscan catalog passport {_prefix(reference)}{reference.value}",
            code="no_weights",
        )
    stated = task_of(info.task, info.repo)
    model = ResolvedModel(
        id=reference.value,
        name=reference.value,
        task=stated if stated and task == "chat" else task,
        candidates=tuple(candidates),
    )
    return replace(model, chat_template=hub_template(hub, reference, model))


def _repository(
    hub: Hub,
    reference: Reference,
    info: RepoInfo,
    variants: Sequence[Variant],
    settings: dict[str, Any] | None,
) -> tuple[list[Candidate], str]:
    if settings is None:
        raise UsageError(
            f"{reference.value} has no config.json: it is not a model an engine here loads",
            hint=f"modelscan catalog passport {_prefix(reference)}{reference.value}",
            code="no_config",
        )
    extra = hub.fetch_optional(reference, "hf_quant_config.json")
    quant = None
    if extra is not None:
        from modelscan.hub.repository import parse_object

        quant = parse_object(extra, "hf_quant_config.json")
    variant = variants[0]
    shape = from_config(
        settings,
        weight_bytes=variant.weight_bytes,
        safetensors=info.parameters or None,
        parameters=info.total_parameters,
        hf_quant_config=quant,
    )
    shape = replace(shape, format=variant.format)
    labelled = replace(variant, quantization=variant.quantization or label(shape))
    task = config_task(settings, shape.architecture, None)
    published = Candidate(labelled, shape, quality(labelled.quantization, label(shape)))
    made = online(published, task, lambda name: from_config(settings, quantization=name))
    return [published, *made], task


def _gguf_candidates(
    hub: Hub,
    reference: Reference,
    info: RepoInfo,
    variants: Sequence[Variant],
    workload: Workload,
) -> tuple[list[Candidate], str]:
    """Candidates from one header: other quantizations have its tensors, scaled to their files'
    sizes.

    If the file names state no quantization, every header is read.
    """
    files = [v for v in variants if v.format == "gguf" and v.files]
    if not files:
        return [], "chat"
    quantization = workload.quantization
    first = next(
        (v for v in files if quantization and means(quantization, v.quantization, "gguf")), files[0]
    )
    header = remote_header(hub, reference, first)
    exact = from_gguf(header, quantization=first.quantization)
    projector = _projector(hub, reference, info.files, exact)
    candidates = []
    for variant in files:
        if variant is first:
            shape = exact
        elif variant.quantization is None:
            shape = from_gguf(remote_header(hub, reference, variant))
        else:
            shape = resized(exact, variant)
        labelled = replace(variant, quantization=variant.quantization or shape.quantization)
        seeing, shape = _with_projector(labelled, shape, projector)
        candidates.append(Candidate(seeing, shape, quality(labelled.quantization)))
    return candidates, gguf_task(header)


def _projector(
    hub: Hub, reference: Reference, files: Sequence[WeightFile], shape: ModelShape
) -> WeightFile | None:
    """The repository's image or audio encoder for this shape, in 16 bits if available."""
    for file in projectors(files):
        try:
            header = gguf.parse_header(hub.open_file(reference, file.path).read, file.size_bytes)
        except gguf.GgufError:
            continue  # not a projector, despite its name
        if projects_into(header, shape):
            return file
    return None


def _with_projector(
    variant: Variant, shape: ModelShape, projector: WeightFile | None
) -> tuple[Variant, ModelShape]:
    if projector is None:
        return variant, shape
    weights = replace(shape.weights, vision_bytes=projector.size_bytes or 0)
    return replace(variant, files=(*variant.files, projector)), replace(shape, weights=weights)


def remote_header(hub: Hub, reference: Reference, variant: Variant) -> gguf.GgufHeader:
    """The merged header of a variant's files, by range requests. Raises UsageError if one is
    malformed.
    """
    parts = [file for file in variant.files if file.path.endswith(".gguf")]
    headers = []
    for file in parts:
        try:
            read = hub.open_file(reference, file.path).read
            headers.append(gguf.parse_header(read, file.size_bytes))
        except gguf.GgufError as error:
            message = f"{file.path} of {reference.value}: {error.message}"
            raise UsageError(message, hint=error.hint, code=error.code) from error
    return gguf.merge_shards(headers)


def resized(shape: ModelShape, variant: Variant) -> ModelShape:
    """The same tensors scaled to another file's size, as the estimate of another quantization."""
    size = variant.weight_bytes
    if not size:
        return replace(shape, quantization=variant.quantization)
    scale = size / max(1, shape.weights.total_bytes)
    tensors = tuple(
        replace(tensor, size_bytes=round(tensor.size_bytes * scale)) for tensor in shape.tensors
    )
    weights = weights_gguf.from_tensors(tensors, shape.architecture)
    return replace(
        shape,
        tensors=tensors,
        weights=replace(weights, basis="computed"),
        quantization=variant.quantization,
    )
