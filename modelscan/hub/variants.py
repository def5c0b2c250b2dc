"""The weights of a hub repository, as variants of a model."""

from __future__ import annotations

from collections.abc import Mapping

from modelscan.core.model import Variant, WeightFile
from modelscan.formats.files import Role, describe, gguf_sets
from modelscan.formats.repo_names import short, split_repo_name
from modelscan.hub.repo_info import RepoInfo

# A hub's word for what a model does -> ours.
TASKS = {
    "text-generation": "chat",
    "text2text-generation": "chat",
    "image-text-to-text": "chat",
    "any-to-any": "chat",
    "feature-extraction": "embedding",
    "sentence-similarity": "embedding",
    "sentence-embedding": "embedding",
    "text-ranking": "rerank",
    "text-to-image": "image",
    "text-to-image-synthesis": "image",
    "automatic-speech-recognition": "speech_to_text",
    "auto-speech-recognition": "speech_to_text",
    "text-to-speech": "text_to_speech",
}
DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "U16": 2, "U32": 4, "U64": 8, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
_CONTAINERS = frozenset({"U8", "U16", "U32", "I16", "I32", "F4"})
_DTYPE_LABEL = {"F8_E4M3": "FP8", "F8_E5M2": "FP8", "F16": "FP16", "F32": "FP32", "BF16": "BF16"}


def variants(info: RepoInfo) -> tuple[Variant, ...]:
    """One variant per set of weights: GGUF files by quantization, else the repository."""
    kind = info.weight_format
    if kind == "gguf":
        sets = gguf_sets(info.files)
        if sets:
            return tuple(_variant(info, kind, label, files) for label, files in sets)
    weights = tuple(file for file in info.files if _is_weights(file.path, kind))
    return (_variant(info, kind, quantization_label(info), weights),)


def _is_weights(path: str, kind: str) -> bool:
    file = describe(path)
    if kind == "pickle":
        return file.format == "pickle" and file.role is Role.WEIGHTS
    return file.format == "safetensors"


def _variant(
    info: RepoInfo, kind: str, label: str | None, files: tuple[WeightFile, ...]
) -> Variant:
    sizes = [file.size_bytes for file in files]
    known = sum(size for size in sizes if size) if sizes and None not in sizes else None
    return Variant(
        repo=info.repo,
        format=kind,
        quantization=label,
        source=info.source,
        weight_bytes=known or (counted_bytes(info.parameters) if kind == "safetensors" else None),
        parameters=None if packed(info.parameters) else info.total_parameters,
        files=files,
        revision=info.commit,
        gated=info.gated,
        downloads=info.downloads,
    )


def quantization_label(info: RepoInfo) -> str | None:
    """What the name says, else the config, else the dtype of most parameters."""
    named = split_repo_name(short(info.repo)).quantization
    if named or info.quantization:
        return named or info.quantization
    if not info.parameters:
        return None
    dtype = max(sorted(info.parameters), key=lambda d: info.parameters[d])
    return _DTYPE_LABEL.get(dtype)


def packed(parameters: Mapping[str, int]) -> bool:
    """Whether a part of the values are containers that hold several weights each.

    4-bit formats store them as U8 (MXFP4, NVFP4, bitsandbytes), I32 (GPTQ, AWQ) or U32 (MLX); a
    few such values (scales, indices) are ordinary.
    """
    held = sum(count for dtype, count in parameters.items() if dtype in _CONTAINERS)
    return held * 20 > sum(parameters.values())


def counted_bytes(parameters: Mapping[str, int]) -> int | None:
    """Bytes of tensors with these dtypes; None when one of them is unknown."""
    if not parameters or any(dtype not in DTYPE_BYTES for dtype in parameters):
        return None
    return sum(DTYPE_BYTES[dtype] * count for dtype, count in parameters.items())
