"""A config.json, with or without weights in its folder, as a ResolvedModel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.model import Variant, WeightFile
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.engines.registry import engine
from modelscan.engines.support_rules import SPEECH
from modelscan.formats.gguf_types import FILE_TYPES
from modelscan.formats.quantization import NAMES, canonical, quantization
from modelscan.formats.quantization import label as quantization_label
from modelscan.memory.architecture.encoder_decoder import is_encoder_decoder
from modelscan.memory.shape import from_config
from modelscan.models.local_files import safetensors_files
from modelscan.models.online_formats import online
from modelscan.models.quantization_quality import quality
from modelscan.models.templates import local_template

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.workload import Workload

LOCAL = "local_path"
_MAX_CONFIG_BYTES = 16 << 20
_GGUF_NAMES = {canonical(name) for name in FILE_TYPES.values()} - {"BF16", "FP16", "FP32"}


def from_config_file(path: Path, workload: Workload) -> ResolvedModel:
    """Resolve a repository's folder or a config. Raises UsageError if it is no model's config."""
    folder, alone = path.parent, path.name != "config.json"
    config = read_json(path)
    extra = folder / (f"{path.stem}.hf_quant_config.json" if alone else "hf_quant_config.json")
    quant = read_json(extra) if extra.is_file() else None
    files = None if alone else safetensors_files(folder)
    weights = files.files if files else ()
    if not weights and not alone and sorted(folder.glob("*.bin")):
        return _pickled(folder, config, workload)
    shape = shape_of(
        config,
        quant,
        workload,
        weight_bytes=(files.tensor_bytes if files else 0) or None,
        counts=(files.dtypes if files else None) or None,
    )
    warnings = [] if weights else [f"no weights next to {path.name}: sizes are computed from it"]
    warnings += files.notes if files else ()
    if files and files.mlx and "U32" in files.dtypes:  # packed by MLX, regardless of the config
        shape = replace(shape, format="mlx")
    name = path.stem if alone else folder.name
    shape = _located(shape, folder if weights else path)
    return _resolved(folder, name, config, shape, weights, warnings)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a file; raises UsageError naming the file."""
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise UsageError(f"{path} is too large for a config.json", code="bad_config")
        value = json_value(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="unreadable") from error
    except ValueError as error:
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
    """The shape of these weights; without weights, of the requested format."""
    name = workload.quantization if weight_bytes is None else None
    _require_known(name)
    gguf = weight_bytes is None and (
        (workload.backend and engine(workload.backend).runs_gguf) or canonical(name) in _GGUF_NAMES
    )
    return from_config(
        config,
        quantization=name,
        weight_bytes=weight_bytes,
        safetensors=counts,
        hf_quant_config=quant,
        format="gguf" if gguf else "safetensors",
    )


def _require_known(name: str | None) -> None:
    """Raises UsageError, with the known names, for a requested format that is in no table."""
    if name and name.lower() not in ("none", "original") and quantization(name) is None:
        raise UsageError(
            f"'{name}' is not a weight format modelscan knows", hint="one of " + ", ".join(NAMES)
        )


def label(shape: ModelShape) -> str | None:
    """The displayed quantization: upper case; the plain dtype if nothing is quantized."""
    return quantization_label(shape.quantization or shape.architecture.dtype or "BF16")


def config_task(config: Mapping[str, Any], architecture: Architecture, folder: Path | None) -> str:
    """chat, embedding, rerank or speech_to_text: from the class and from sentence-transformers'
    files.
    """
    if is_encoder_decoder(config):
        return SPEECH
    classes = " ".join(str(name) for name in config.get("architectures") or ())
    if "ForSequenceClassification" in classes or "Reranker" in classes:
        return "rerank"
    sentence = folder is not None and (folder / "modules.json").is_file()
    return "embedding" if architecture.embedding_model or sentence else "chat"


def _located(shape: ModelShape, path: Path) -> ModelShape:
    return replace(shape, path=str(path), quantization=label(shape))


def _resolved(
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
    task = config_task(config, shape.architecture, folder)
    made = online(candidate, task, lambda label: from_config(config, quantization=label))
    return ResolvedModel(
        id=name,
        name=str(config.get("_name_or_path") or name),
        task=task,
        candidates=(candidate, *(made if files else ())),
        warnings=tuple(warnings),
        chat_template=local_template(folder),
    )


def _pickled(folder: Path, config: Mapping[str, Any], workload: Workload) -> ResolvedModel:
    """Weights in pickle files only: estimated, but run only with ``--allow-unsafe``."""
    files = sorted(folder.glob("*.bin"))
    size = sum(file.stat().st_size for file in files)
    shape = replace(shape_of(config, None, workload, weight_bytes=size), format="pickle")
    return _resolved(folder, folder.name, config, _located(shape, folder), files, ())
