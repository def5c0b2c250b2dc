"""Files that engine options name: llama.cpp's projector and draft model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.plan import Candidate
from modelscan.engines.llamacpp.given import option, switched
from modelscan.formats import gguf
from modelscan.memory.shape import from_gguf
from modelscan.models.from_local import read_header, shards
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.plan import ResolvedModel
    from modelscan.core.workload import Workload

PROJECTOR, DRAFT = "mmproj", "spec-draft-model"


def with_named_files(model: ResolvedModel, workload: Workload) -> ResolvedModel:
    """The model with the projector and the draft that the options name, on its GGUF variants.

    Raises UsageError for a projector that is no file or no GGUF file. A draft that cannot be read
    stays out: the estimate says so.
    """
    projector, draft = _projector_bytes(workload), _draft(workload)
    if projector is None and draft is None:
        return model
    candidates = (_with_files(each, projector, draft) for each in model.candidates)
    return replace(model, candidates=tuple(candidates))


def _with_files(candidate: Candidate, projector: int | None, draft: ModelShape | None) -> Candidate:
    if candidate.variant.format != "gguf":
        return candidate

    def shape() -> ModelShape:
        old = candidate.shape
        seen = old.weights.vision_bytes if projector is None else projector
        return replace(old, weights=replace(old.weights, vision_bytes=seen), draft=draft)

    return Candidate(candidate.variant, shape, candidate.quality, candidate.floor_bytes)


def _projector_bytes(workload: Workload) -> int | None:
    """The size of the named projector; None if none is named, or another option turns it off."""
    text = option(workload, PROJECTOR)
    if text is None or switched(workload, "no-mmproj"):
        return None
    path = expand(text)
    if not path.is_file():
        raise UsageError(
            f"there is no projector file '{text}'",
            hint="--param mmproj=PATH_OF_THE_FILE, or --param no-mmproj",
            code="no_such_file",
            details={"path": str(path)},
        )
    read_header(path)
    return path.stat().st_size


def _draft(workload: Workload) -> ModelShape | None:
    text = option(workload, DRAFT)
    path = expand(text) if text else None
    if path is None or not path.is_file():
        return None
    try:
        header = gguf.merge_shards([read_header(file) for file in shards(path)])
        return from_gguf(header, path=str(path))
    except (UsageError, gguf.GgufError):
        return None
