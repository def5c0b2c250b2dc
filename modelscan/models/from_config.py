"""A config.json, with or without the weights beside it, as a ResolvedModel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelscan.core.architecture import Architecture, ModelShape
from modelscan.core.errors import UsageError
from modelscan.core.model import Variant, WeightFile
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.core.workload import Workload
from modelscan.engines.registry import engine
from modelscan.formats.gguf_types import FILE_TYPES
from modelscan.formats.quantization import NAMES, canonical, quantization
from modelscan.memory.shape import from_config
from modelscan.models.local_files import safetensors_files
from modelscan.models.quantization_quality import quality

LOCAL = "local_path"
_MAX_CONFIG_BYTES = 16 << 20
_GGUF_NAMES = {canonical(name) for name in FILE_TYPES.values()} - {"BF16", "FP16", "FP32"}


def from_config_file(path: Path, workload: Workload) -> ResolvedModel:
    """A repository's folder resolved; raises UsageError for what is no model's config."""
    folder, alone = path.parent, path.name != "config.json"
    config = read_json(path)
    extra = folder / (f"{path.stem}.hf_quant_config.json" if alone else "hf_quant_config.json")
    quant = read_json(extra) if extra.is_file() else None
    there = None if alone else safetensors_files(folder)
    weights = there.files if there else ()
    if not weights and not alone and sorted(folder.glob("*.bin")):
        return _pickled(folder, config, workload)
    shape = shape_of(
        config,
        quant,
        workload,
        weight_bytes=(there.tensor_bytes if there else 0) or None,
        counts=(there.dtypes if there else None) or None,
    )
    warnings = [] if weights else [f"no weights beside {path.name}: sizes are computed from it"]
    warnings += there.notes if there else ()
    if there and there.mlx and "U32" in there.dtypes:  # packed by MLX, whatever the config says
        shape = replace(shape, format="mlx")
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
    _require_known(asked)
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


def _require_known(asked: str | None) -> None:
    """A wish that no table knows cannot be sized: raises UsageError with the names that can."""
    if asked and asked.lower() not in ("none", "original") and quantization(asked) is None:
        raise UsageError(
            f"'{asked}' is not a weight format modelscan knows", hint="one of " + ", ".join(NAMES)
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


def _located(shape: ModelShape, path: Path) -> ModelShape:
    return replace(shape, path=str(path), quantization=label(shape))


def _subject(
    folder: Path,
    name: str,
    config: Mapping[str, Any],
    shape: ModelShape,
    files: Sequence[Path],
    warnings: Sequence[str],
) -> ResolvedModel:
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
    return ResolvedModel(
        id=name,
        name=str(config.get("_name_or_path") or name),
        task=config_task(config, shape.architecture, folder),
        candidates=(candidate,),
        warnings=tuple(warnings),
    )


def _pickled(folder: Path, config: Mapping[str, Any], workload: Workload) -> ResolvedModel:
    """Weights in pickle files only: sized, never run."""
    files = sorted(folder.glob("*.bin"))
    size = sum(file.stat().st_size for file in files)
    shape = replace(shape_of(config, None, workload, weight_bytes=size), format="pickle")
    return _subject(folder, folder.name, config, _located(shape, folder), files, ())
