"""The models that a recipe starts from: found, and the digests of their local files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, OfflineError, UsageError
from modelscan.core.reference import Kind, parse_reference
from modelscan.recipes.naming import digest_of
from modelscan.recipes.types import InputFile, RecipeModel

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.plan import Candidate, ResolvedModel
    from modelscan.recipes.kind import RecipeKind
    from modelscan.state.config import Config

LOCAL = "local_path"
_WHOLE = 4 * 2**30  # larger files are identified by their size and ends
_END = 2**20
_WIDE = (None, "BF16", "F16", "FP16", "F32", "FP32")
_READ = (".safetensors", ".json", ".jinja", ".model", ".txt", ".gguf", ".py")


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model with its shape (None: not known)."""

    model: RecipeModel
    shape: ModelShape | None
    gated: bool | None = None
    warnings: tuple[str, ...] = ()


def find_model(text: str, kind: RecipeKind, config: Config) -> FoundModel:
    """The model with weights that the recipe can start from.

    Raises UsageError (exit 2) where there is no such model, NotDeployableError (exit 3) where it
    has no usable weights.
    """
    from modelscan.models.fit import default_wishes
    from modelscan.models.resolve import load_deployable

    reference = parse_reference(text)
    if reference.kind is Kind.MODELSCOPE:
        raise NotDeployableError(
            "recipes read repositories of Hugging Face, or folders",
            hint=f"modelscan pull {text}, then the folder that it prints",
            code="unsupported_hub",
        )
    try:
        resolved = load_deployable(text, config, default_wishes(config))
    except OfflineError:
        if reference.kind is not Kind.HUGGINGFACE:
            raise
        return _unseen(reference.value, reference.revision)
    found = _described(_usable(resolved, kind), reference.revision)
    return FoundModel(found.model, found.shape, found.gated, resolved.warnings)


def _unseen(repository: str, revision: str | None) -> FoundModel:
    """A repository that cannot be looked at offline: nothing about it is known."""
    model = RecipeModel(
        repository, None, repository, revision, None, "safetensors", None, None, None
    )
    warning = f"{repository} was not looked at (offline): its size and license are unknown"
    return FoundModel(model, None, None, (warning,))


def _usable(resolved: ResolvedModel, kind: RecipeKind) -> Candidate:
    """The weights to start from: in a format of the recipe, not quantized, the makers' first."""
    formats = [c for c in resolved.candidates if c.variant.format in kind.formats and not c.online]
    fitting = [c for c in formats if kind.quantized_base or c.variant.quantization in _WIDE]
    if not fitting:
        raise _unusable(resolved, kind, bool(formats))
    order = {"maker": 0, "evaluator": 1, "known": 1, "other": 2}
    return min(
        fitting,
        key=lambda c: (
            c.variant.quantization not in _WIDE,
            kind.formats.index(c.variant.format),
            order[c.publisher],
        ),
    )


def _unusable(resolved: ResolvedModel, kind: RecipeKind, quantized: bool) -> NotDeployableError:
    shown = dict.fromkeys(
        f"{c.variant.format} {c.variant.quantization or ''}".strip() for c in resolved.candidates
    )
    needed = " or ".join(kind.formats)
    state = "in 16 or 32 bits" if quantized or not kind.quantized_base else ""
    return NotDeployableError(
        f"the recipe {kind.name} starts from {needed} weights {state}".rstrip()
        + f"; {resolved.name} has {', '.join(list(shown)[:6]) or 'no weights that are known'}",
        hint="name the repository or folder of the original weights",
        code="unsuitable_base",
    )


def _described(candidate: Candidate, revision: str | None) -> FoundModel:
    variant, shape = candidate.variant, candidate.shape
    local = variant.source == LOCAL
    place = Path(variant.repo) if local else None
    files = tuple(_inputs(place, variant.format)) if place is not None else ()
    name = place.name if place is not None else variant.repo
    model = RecipeModel(
        name=name, path=str(place) if place else None, repository=None if local else variant.repo,
        revision=None if local else revision or variant.revision,
        sha256=digest_of({one.path: one.sha256 for one in files}) if local else None,
        format=variant.format, quantization=variant.quantization,
        parameters=variant.parameters or shape.weights.parameters,
        weight_bytes=variant.weight_bytes or shape.weights.total_bytes or None, files=files,
    )  # fmt: skip
    return FoundModel(model, shape, variant.gated)


def _inputs(place: Path, form: str) -> Iterator[InputFile]:
    """The files of a local model with their digests; of a folder with paths relative to it."""
    if place.is_file() and form == "gguf":
        from modelscan.models.from_local import shards

        yield from (identified(file, file.name) for file in shards(place))
        return
    folder = sorted(place.iterdir()) if place.is_dir() else []
    files = [file for file in folder if file.suffix in _READ and file.is_file()]
    if form == "safetensors" and not any(file.suffix == ".safetensors" for file in files):
        raise UsageError(
            f"{place} is no folder with safetensors files",
            hint="name the folder of a downloaded repository",
            code="no_such_file",
        )
    yield from (identified(file, file.name) for file in files)


def identified(file: Path, name: str) -> InputFile:
    """A file with its digest: of all of it, or of its size and ends above 4 GiB."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= _WHOLE:
            digest = hashlib.sha256()
            while piece := stream.read(_END):
                digest.update(piece)
            return InputFile(name, size, digest.hexdigest())
        digest = hashlib.sha256(str(size).encode() + stream.read(_END))
        stream.seek(-_END, 2)
        digest.update(stream.read())
    return InputFile(name, size, digest.hexdigest(), "ends")


def changed_files(model: RecipeModel) -> list[str]:
    """Local files that are gone or differ from the ones that the recipe was rendered for."""
    if model.path is None:
        return []
    place = Path(model.path)
    folder = place.parent if place.suffix == ".gguf" else place
    changed = []
    for one in model.files:
        file = folder / one.path
        if not file.is_file() or identified(file, one.path) != one:
            changed.append(str(file))
    return changed
