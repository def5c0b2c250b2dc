"""What the registry stores of a model, read from its weights: a file, a hub, or a deployment.

The least memory is the estimator's, for one request of a stated context, on no particular machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.reference import Kind, parse_reference
from modelscan.core.units import format_tokens
from modelscan.core.workload import Workload
from modelscan.registry.types import RegistryVersionFacts, WeightsFile

if TYPE_CHECKING:
    from modelscan.catalog.passport.facts import Passport
    from modelscan.core.model import WeightFile
    from modelscan.core.plan import Candidate, ResolvedModel
    from modelscan.state.config import Config

CONTEXT_TOKENS = 4096
_PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0")
_TEXT_TASKS = ("chat", "embedding", "rerank")
_DEPLOYMENT = "deployment:"


@dataclass(frozen=True, slots=True)
class WeightsFacts:
    """What was read. ``model``: fields of a registry model, as JSON; unknown ones are missing."""

    model: dict[str, Any]
    version: RegistryVersionFacts
    warnings: tuple[str, ...]


def weights_facts(
    text: str,
    config: Config,
    *,
    quantization: str | None = None,
    context_tokens: int | None = None,
) -> WeightsFacts:
    """The facts of MODEL, or of a deployment by its name; hashes local files, which reads them.

    ``context_tokens``: of the one request that the least memory is for (default 4,096, or the
    model's own context where that is less). Raises UsageError for an unknown name, OfflineError
    and RemoteError where a hub is needed.
    """
    from modelscan.catalog.find_passport import find_passport
    from modelscan.models.resolve import load_subject

    text, quantization = _of_deployment(text, quantization, config)
    model = load_subject(text, config, Workload(quantization=quantization))
    candidate, warnings = _chosen(model, quantization)
    place = _place(candidate, text)
    passport = find_passport(place, config, checksum=True)
    limit = context_tokens or min(CONTEXT_TOKENS, passport.context_tokens or CONTEXT_TOKENS)
    needed, notes = _least_memory(candidate, limit, model.id)
    version = RegistryVersionFacts(
        weights_url=_url(candidate, config),
        revision=passport.commit or candidate.variant.revision,
        format=candidate.variant.format,
        quantization=candidate.variant.quantization,
        license=_license(passport),
        files=_files(candidate, passport),
        size_bytes=_size(_files(candidate, passport)),
        min_vram_bytes=needed,
        context_tokens=limit if needed is not None else None,
    )
    facts = _model_facts(model, candidate, passport)
    return WeightsFacts(facts, version, (*model.warnings, *warnings, *notes, *passport.warnings))


def _of_deployment(text: str, quantization: str | None, config: Config) -> tuple[str, str | None]:
    """A deployment's own weights, as MODEL and format."""
    from modelscan.state.store import Store

    named = text.startswith(_DEPLOYMENT)
    name = text.removeprefix(_DEPLOYMENT)
    file = config.paths.store_file
    rows = []
    if file.exists():
        with Store.look(file) as store:
            rows = [one for one in store.all() if one.name == name]
    if not rows:
        if named:
            raise UsageError(
                f"there is no deployment '{name}'", hint="modelscan list", code="unknown_name"
            )
        return text, quantization
    plan = rows[0].plan
    if plan is None:
        raise UsageError(
            f"the record of '{name}' does not say which weights it uses",
            hint=f"modelscan show {name}",
        )
    prefix = {"huggingface": "hf:", "modelscope": "ms:"}.get(plan.source, "")
    at = f"@{plan.revision}" if prefix and plan.revision else ""
    return f"{prefix}{plan.repo}{at}", quantization or plan.quantization


def _chosen(model: ResolvedModel, quantization: str | None) -> tuple[Candidate, list[str]]:
    """The weights that are registered: the named format, else a usual one, with a warning."""
    from modelscan.formats.quantization import means
    from modelscan.planner import refuse

    refuse.closed(model)
    own = [one for one in model.candidates if not one.online]
    if quantization is not None:
        fitting = [
            one for one in own if means(quantization, one.variant.quantization, one.variant.format)
        ]
        if fitting:
            return fitting[0], []
        labels = ", ".join(sorted({str(one.variant.quantization) for one in own}))
        raise UsageError(
            f"{model.id} has no weights in the format {quantization}: it has {labels}",
            hint=f"modelscan catalog info {model.id}",
            code="unknown_quantization",
        )
    if not own:
        raise UsageError(f"{model.id} has no weights that an engine here loads", code="no_weights")
    if len(own) == 1:
        return own[0], []
    usual = [one for name in _PREFERRED for one in own if one.variant.quantization == name]
    chosen = (usual or own)[0]
    label = chosen.variant.quantization or chosen.variant.format
    text = f"{model.id} has {len(own)} sets of weights; {label} is registered"
    return chosen, [f"{text} (--quantization names another)"]


def _place(candidate: Candidate, text: str) -> str:
    """The repository or the file of the weights, as ``catalog passport`` reads it."""
    variant = candidate.variant
    if variant.source == "local_path":
        return variant.repo
    reference = parse_reference(text)
    revision = reference.revision if reference.kind is not Kind.NAME else variant.revision
    prefix = "ms:" if variant.source == "modelscope" else "hf:"
    return f"{prefix}{variant.repo}" + (f"@{revision}" if revision else "")


def _url(candidate: Candidate, config: Config) -> str:
    variant = candidate.variant
    if variant.source == "local_path":
        return Path(variant.repo).absolute().as_uri()
    if variant.source == "modelscope":
        return f"{config.modelscope_endpoint.rstrip('/')}/models/{variant.repo}"
    return f"{config.hf_endpoint.rstrip('/')}/{variant.repo}"


def _files(candidate: Candidate, passport: Passport) -> tuple[WeightsFile, ...]:
    """The files of the weights; of other formats than GGUF the whole repository."""
    variant = candidate.variant
    hashes = {one.path: one for one in passport.files}
    if variant.format != "gguf" and passport.files:
        return tuple(_file(one.path, one) for one in passport.files)
    named = [Path(one.path).name if variant.source == "local_path" else one.path
             for one in variant.files]  # fmt: skip
    sizes = [one.size_bytes for one in variant.files]
    return tuple(
        _file(path, hashes.get(path), size) for path, size in zip(named, sizes, strict=True)
    )


def _file(path: str, known: WeightFile | None, size: int | None = None) -> WeightsFile:
    return WeightsFile(
        path=path,
        size_bytes=size if known is None or known.size_bytes is None else known.size_bytes,
        sha256=None if known is None else known.sha256,
    )


def _size(files: Sequence[WeightsFile]) -> int | None:
    sizes = [one.size_bytes for one in files]
    return sum(size or 0 for size in sizes) if sizes and None not in sizes else None


def _least_memory(
    candidate: Candidate, context_tokens: int, name: str
) -> tuple[int | None, list[str]]:
    """Bytes for one request; None with the reason where the estimator cannot tell."""
    from modelscan.engines.estimate import estimate

    workload = Workload(context_tokens=context_tokens, parallel=1)
    at = format_tokens(context_tokens)
    try:
        if not candidate.shape.architecture.known:
            return None, [f"the memory at {at} tokens is unknown: so is its architecture"]
        parts = estimate(candidate.shape, workload, None, model=name).parts
    except ModelscanError as error:
        return None, [f"the memory at {at} tokens is unknown: {error.message}"]
    return parts.total_bytes, []


def _model_facts(model: ResolvedModel, candidate: Candidate, passport: Passport) -> dict[str, Any]:
    known = model.model
    family = known.family if known is not None else None
    base = passport.base_model
    facts = {
        "name": model.name,
        "family": family or passport.architecture or candidate.shape.architecture.name,
        "license": _license(passport) or (known.license if known is not None else None),
        "modalities": _modalities(model, candidate),
        "description": known.description if known is not None else None,
        "base": base,
        "context_tokens": passport.context_tokens or (known and known.limits.context_tokens),
        "parameters": passport.parameters or candidate.variant.parameters,
    }
    return {name: value for name, value in facts.items() if value}


def _modalities(model: ResolvedModel, candidate: Candidate) -> list[str] | None:
    """As the catalog states; else text where its task is one of text, with images where it sees."""
    if model.model is not None and model.model.modalities_in:
        return list(model.model.modalities_in)
    if model.task not in _TEXT_TASKS:
        return None
    return ["text", "image"] if candidate.shape.weights.vision_bytes else ["text"]


def _license(passport: Passport) -> str | None:
    from modelscan.registry.checks import is_license

    text = passport.license
    return text if text is not None and is_license(text) else None
