"""A config.json, with or without the weights beside it, as a Subject."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelscan.core.architecture import Architecture, ModelShape
from modelscan.core.errors import UsageError
from modelscan.core.model import Variant, WeightFile
from modelscan.core.plan import Candidate, Subject
from modelscan.core.workload import Workload
from modelscan.engines.registry import engine
from modelscan.formats.gguf_types import FILE_TYPES
from modelscan.formats.quantization import canonical
from modelscan.memory.shape import from_config
from modelscan.models.quantization_quality import quality

LOCAL = "local_path"
_MAX_CONFIG_BYTES = 16 << 20
_GGUF_NAMES = {canonical(name) for name in FILE_TYPES.values()} - {"BF16", "FP16", "FP32"}


def from_config_file(path: Path, workload: Workload) -> Subject:
    """The Subject of a repository's folder; raises UsageError for what is no model's config."""
    folder, alone = path.parent, path.name != "config.json"
    config = read_json(path)
    extra = folder / (f"{path.stem}.hf_quant_config.json" if alone else "hf_quant_config.json")
    quant = read_json(extra) if extra.is_file() else None
    weights = [] if alone else sorted(folder.glob("*.safetensors"))
    if not weights and not alone and sorted(folder.glob("*.bin")):
        return _pickled(folder, config, workload)
    sizes = [weights_of(file) for file in weights]
    shape = shape_of(
        config,
        quant,
        workload,
        weight_bytes=sum(size for size, _ in sizes) or None,
        counts=_merge([counts for _, counts in sizes]),
    )
    warnings = [] if weights else [f"no weights beside {path.name}: sizes are computed from it"]
    name = path.stem if alone else folder.name
    shape = _located(shape, folder if weights else path)
    return _subject(folder, name, config, shape, weights, warnings)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a file; raises UsageError naming the file."""
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise UsageError(f"{path} is too large for a config.json", code="bad_config")
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="unreadable") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}", code="bad_config") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object", code="bad_config")
    return value


def weights_of(path: Path) -> tuple[int, Mapping[str, int]]:
    """Tensor bytes and dtype counts of a safetensors file, from its header alone."""
    from modelscan.formats.safetensors import parameters_by_dtype, read_header

    with path.open("rb") as stream:

        def read(offset: int, length: int) -> bytes:
            stream.seek(offset)
            return stream.read(length)

        header = read_header(read)
    return header.data_bytes, parameters_by_dtype(header.tensors)


def shape_of(
    config: Mapping[str, Any],
    quant: Mapping[str, Any] | None,
    workload: Workload,
    *,
    weight_bytes: int | None = None,
    counts: Mapping[str, int] | None = None,
) -> ModelShape:
    """The shape of these weights; without any, of the format that was asked for."""
    asked = workload.quantization if weight_bytes is None else None
    gguf = weight_bytes is None and (
        (workload.backend and engine(workload.backend).runs_gguf) or canonical(asked) in _GGUF_NAMES
    )
    return from_config(
        config,
        quantization=asked,
        weight_bytes=weight_bytes,
        safetensors=counts,
        hf_quant_config=quant,
        format="gguf" if gguf else "safetensors",
    )


def label(shape: ModelShape) -> str | None:
    """The quantization as it is shown: upper case, the plain dtype when nothing is quantized."""
    return canonical(shape.quantization or shape.architecture.dtype or "BF16")


def config_task(config: Mapping[str, Any], architecture: Architecture, folder: Path | None) -> str:
    """chat | embedding | rerank, by the class and by sentence-transformers' files."""
    classes = " ".join(str(name) for name in config.get("architectures") or ())
    if "ForSequenceClassification" in classes or "Reranker" in classes:
        return "rerank"
    sentence = folder is not None and (folder / "modules.json").is_file()
    return "embedding" if architecture.embedding_model or sentence else "chat"


def _merge(counts: Sequence[Mapping[str, int]]) -> dict[str, int] | None:
    merged: dict[str, int] = {}
    for one in counts:
        for dtype, count in one.items():
            merged[dtype] = merged.get(dtype, 0) + count
    return merged or None


def _located(shape: ModelShape, path: Path) -> ModelShape:
    return replace(shape, path=str(path), quantization=label(shape))


def _subject(
    folder: Path,
    name: str,
    config: Mapping[str, Any],
    shape: ModelShape,
    files: Sequence[Path],
    warnings: Sequence[str],
) -> Subject:
    variant = Variant(
        repo=str(folder),
        format=shape.format,
        quantization=label(shape),
        source=LOCAL,
        weight_bytes=shape.weights.total_bytes,
        parameters=shape.weights.parameters,
        files=tuple(WeightFile(file.name, file.stat().st_size) for file in files),
    )
    candidate = Candidate(variant, shape, quality(variant.quantization, variant.quantization))
    return Subject(
        id=name,
        name=str(config.get("_name_or_path") or name),
        task=config_task(config, shape.architecture, folder),
        candidates=(candidate,),
        warnings=tuple(warnings),
    )


def _pickled(folder: Path, config: Mapping[str, Any], workload: Workload) -> Subject:
    """Weights in pickle files only: sized, never run."""
    files = sorted(folder.glob("*.bin"))
    size = sum(file.stat().st_size for file in files)
    shape = replace(shape_of(config, None, workload, weight_bytes=size), format="pickle")
    return _subject(folder, folder.name, config, _located(shape, folder), files, ())
