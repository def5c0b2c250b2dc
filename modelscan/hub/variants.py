"""Lists the weights of a hub repository as variants of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelscan.core.model import Variant, WeightFile
from modelscan.formats.files import Role, describe, gguf_sets
from modelscan.formats.repo_names import short, split_repo_name
from modelscan.hub.repo_info import RepoInfo

# A hub's task name -> modelscan's.
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
_SPEECH = "speech_to_text"
_INSTRUCTED = re.compile(r"(^|[-_.])(instruct|it|chat)($|[-_.])", re.IGNORECASE)
DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "U16": 2, "U32": 4, "U64": 8, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
_CONTAINERS = frozenset({"U8", "U16", "U32", "I16", "I32", "F4"})
_DTYPE_LABEL = {"F8_E4M3": "FP8", "F8_E5M2": "FP8", "F16": "FP16", "F32": "FP32", "BF16": "BF16"}


def task_of(name: str | None, repo: str) -> str | None:
    """modelscan's name of a hub's task, None for others.

    An instruct model that hears is filed under speech recognition: it is for chats.
    """
    task = TASKS.get(name or "")
    return "chat" if task == _SPEECH and _INSTRUCTED.search(short(repo)) else task


def variants(info: RepoInfo) -> tuple[Variant, ...]:
    """One variant per set of weights: GGUF files by quantization, else the whole repository."""
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
    total_bytes = sum(size for size in sizes if size) if sizes and None not in sizes else None
    return Variant(
        repo=info.repo,
        format=kind,
        quantization=label,
        source=info.source,
        weight_bytes=total_bytes
        or (counted_bytes(info.parameters) if kind == "safetensors" else None),
        parameters=None if packed(info.parameters) else info.total_parameters,
        files=files,
        revision=info.commit,
        gated=info.gated,
        downloads=info.downloads,
    )


def quantization_label(info: RepoInfo) -> str | None:
    """The quantization from the name, else the config, else the most common dtype."""
    label = split_repo_name(short(info.repo)).quantization
    if label or info.quantization:
        return label or info.quantization
    if not info.parameters:
        return None
    dtype = max(sorted(info.parameters), key=lambda d: info.parameters[d])
    return _DTYPE_LABEL.get(dtype)


def packed(parameters: Mapping[str, int]) -> bool:
    """True if a part of the values are containers of several weights each.

    4-bit formats store weights as U8 (MXFP4, NVFP4, bitsandbytes), I32 (GPTQ, AWQ) or U32 (MLX); up
    to 5 % of such values (scales, indices) is normal.
    """
    containers = sum(count for dtype, count in parameters.items() if dtype in _CONTAINERS)
    return containers * 20 > sum(parameters.values())


def counted_bytes(parameters: Mapping[str, int]) -> int | None:
    """Bytes of tensors with these dtypes; None if a dtype is unknown."""
    if not parameters or any(dtype not in DTYPE_BYTES for dtype in parameters):
        return None
    return sum(DTYPE_BYTES[dtype] * count for dtype, count in parameters.items())
