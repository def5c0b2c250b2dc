"""Models on this machine: .gguf files (with shards and projector), folders, config.json."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.model import Variant, WeightFile
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.formats import gguf
from modelscan.formats.files import describe, is_projector, parts
from modelscan.formats.reader import reader
from modelscan.memory.shape import from_gguf
from modelscan.models.local_files import gguf_models
from modelscan.models.quantization_quality import quality
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.workload import Workload

LOCAL = "local_path"
_POOLED = {"bert", "nomic-bert", "jina-bert-v2"}
_RANK_POOLING = 4  # LLAMA_POOLING_TYPE_RANK


def from_path(text: str, workload: Workload, *, name: str | None = None) -> ResolvedModel:
    """The ResolvedModel of a path. Raises UsageError if there is no model."""
    path = expand(text)
    if path.is_dir():
        return _folder(path.resolve(), workload)
    if not path.is_file():
        raise UsageError(
            f"there is no file or folder '{text}'",
            hint="modelscan catalog search TEXT finds models by name",
            code="no_such_file",
            details={"path": str(path)},
        )
    if path.suffix.lower() == ".json":
        return _config(path.resolve(), workload)
    return _resolved_gguf([path.resolve()], name or path.name)


def read_header(path: Path) -> gguf.GgufHeader:
    """The header of one file; raises UsageError naming the file."""
    try:
        with path.open("rb") as stream:
            return gguf.parse_header(reader(stream), path.stat().st_size)
    except gguf.GgufError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint, code="gguf") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="unreadable") from error


def shards(path: Path) -> list[Path]:
    """All files of a split model, in order; the file itself when it is not split."""
    names = parts(path.name)
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(names)} files of this split model are missing, "
            f"e.g. {missing[0]}",
            hint="download the missing files into the same folder",
            code="missing_shards",
            details={"missing": missing},
        )
    return [path.parent / name for name in names]


def from_files(path: Path, name: str, *, projector: Path | None) -> ResolvedModel:
    """The ResolvedModel of a file and its projector, which need not be named after it."""
    return _resolved_gguf([path], name, projector)


def _resolved_gguf(paths: Sequence[Path], name: str, given: Path | None = None) -> ResolvedModel:
    candidates = []
    warnings: list[str] = []
    header = None
    for path in paths:
        files = shards(path)
        header = gguf.merge_shards([read_header(file) for file in files])
        if header.truncated:
            warnings.append(
                f"{path.name} is cut off: {header.file_bytes:,} of {header.expected_bytes:,} bytes"
            )
        shape = from_gguf(header, path=str(files[0]))
        projector, note = (given, None) if given else _projector(path, shape)
        if note is not None:
            warnings.append(note)
        if projector is not None:
            size = projector.stat().st_size
            shape = replace(shape, weights=replace(shape.weights, vision_bytes=size))
            files = [*files, projector]
        candidates.append(_candidate(files, shape))
    assert header is not None
    return ResolvedModel(
        id=_identity(header, name),
        name=header.string("general.name") or name,
        task=gguf_task(header),
        candidates=tuple(candidates),
        warnings=tuple(warnings),
    )


def _candidate(files: Sequence[Path], shape: ModelShape) -> Candidate:
    variant = Variant(
        repo=str(files[0]),
        format=shape.format,
        quantization=shape.quantization,
        source=LOCAL,
        weight_bytes=shape.weights.total_bytes,
        parameters=shape.weights.parameters,
        files=tuple(WeightFile(str(file), file.stat().st_size) for file in files),
    )
    return Candidate(variant, shape, quality(shape.quantization))


def _identity(header: gguf.GgufHeader, name: str) -> str:
    return name.removesuffix(".gguf") if name else header.architecture


def gguf_task(header: gguf.GgufHeader) -> str:
    """chat, embedding or rerank: from the pooling type that the file's header states."""
    pooling = header.key("pooling_type")
    if pooling == _RANK_POOLING:
        return "rerank"
    encoder = header.key("attention.causal") is False or header.architecture in _POOLED
    return "embedding" if pooling or encoder else "chat"


def _projector(model: Path, shape: ModelShape) -> tuple[Path | None, str | None]:
    """A vision projector in the model's folder, if made for its embedding length and not named
    after another model: people keep many models in one folder. And a note on one that was not.
    """
    note = None
    for path in filter(_is_projector, sorted(model.parent.glob("*.gguf"))):
        try:
            header = read_header(path)
        except UsageError:
            continue  # not a projector, despite its name
        if projects_into(header, shape):
            if not _named_after_another(path, model):
                return path, None
            note = f"{path.name} is named after another model: left out"
    return None, note


_UNSPECIFIC = {"mmproj", "gguf", "model", "projector", "vision", "clip", "f16", "bf16", "f32",
               "fp16", "it", "instruct", "chat", "of"}  # fmt: skip


def _named_after_another(projector: Path, model: Path) -> bool:
    """Whether its name has words, and neither name has all words of the other."""
    ours, theirs = _words(model), _words(projector)
    return bool(theirs) and not (theirs <= ours or ours <= theirs)


def _words(path: Path) -> set[str]:
    """The words of a file name that tell models apart: without quantization and shard numbers."""
    label = (describe(path.name).quantization or "").lower()
    words = set(re.findall(r"[a-z]+|\d+(?:\.\d+)?", path.stem.lower()))
    dropped = set(re.findall(r"[a-z]+|\d+(?:\.\d+)?", label)) if label else set()
    return {word for word in words - dropped - _UNSPECIFIC if not re.fullmatch(r"0\d{4}", word)}


def _is_projector(path: Path) -> bool:
    return is_projector(path.name)


def projects_into(header: gguf.GgufHeader, shape: ModelShape) -> bool:
    """Whether an image or audio encoder's output has the length of the model's embeddings."""
    keys = ("clip.vision.projection_dim", "clip.audio.projection_dim")
    return shape.architecture.hidden in {header.metadata.get(key) for key in keys}


def _folder(folder: Path, workload: Workload) -> ResolvedModel:
    if (folder / "config.json").is_file():
        return _config(folder / "config.json", workload)
    ggufs = [path for path in sorted(folder.glob("*.gguf")) if describe(path.name).starts_model]
    models, notes = gguf_models({path: read_header(path) for path in ggufs})
    if not models:
        raise UsageError(
            f"{folder} has neither config.json nor a .gguf file",
            hint="pass the folder of a downloaded repository, or a .gguf file",
            code="no_model_here",
        )
    model = _resolved_gguf(models, folder.name)
    return replace(model, warnings=(*model.warnings, *notes))


def _config(path: Path, workload: Workload) -> ResolvedModel:
    from modelscan.models.from_config import from_config_file

    return from_config_file(path, workload)
