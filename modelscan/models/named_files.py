"""Files that engine options name: llama.cpp's projector, draft model and adapters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.plan import Candidate
from modelscan.engines.llamacpp.given import every, option, switched
from modelscan.formats import gguf
from modelscan.memory.shape import from_gguf
from modelscan.models.from_local import read_header, shards
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from pathlib import Path

    from modelscan.core.architecture import ModelShape
    from modelscan.core.plan import ResolvedModel
    from modelscan.core.workload import Workload

PROJECTOR, DRAFT = "mmproj", "spec-draft-model"
ADAPTERS = ("lora", "lora-scaled")  # PATH,PATH and PATH:SCALE,PATH:SCALE


def with_named_files(model: ResolvedModel, workload: Workload) -> ResolvedModel:
    """The model with the files that the options name, on its GGUF variants.

    Raises UsageError for a projector that is no file or no GGUF file. A draft that cannot be read
    stays out: the estimate says so.
    """
    projector, draft = _projector_bytes(workload), _draft(workload)
    if projector is None and draft is None:
        return model
    candidates = (_with_files(each, projector, draft) for each in model.candidates)
    return replace(model, candidates=tuple(candidates))


def adapter_files(workload: Workload) -> list[Path]:
    """The adapter files that exist here, of those that the options name."""
    texts: list[str] = []
    for name in ADAPTERS:
        parts = [part for text in every(workload, name) for part in text.split(",")]
        texts += [part if name == "lora" else part.rsplit(":", 1)[0] for part in parts]
    paths = [expand(text) for text in texts if text.endswith(".gguf")]
    return [path for path in paths if path.is_file()]


def _with_files(candidate: Candidate, projector: int | None, draft: ModelShape | None) -> Candidate:
    if candidate.variant.format != "gguf":
        return candidate

    def shape() -> ModelShape:
        old = candidate.shape
        seen = old.weights.vision_bytes if projector is None else projector
        weights = replace(old.weights, vision_bytes=seen)
        return replace(old, weights=weights, draft=draft)

    return Candidate(
        candidate.variant, shape, candidate.quality, candidate.floor_bytes, candidate.publisher
    )


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
