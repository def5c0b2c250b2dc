"""A hub repository as its hub describes it: what Hugging Face and ModelScope have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelscan.catalog.records import SourceRecord
from modelscan.core.model import Variant, WeightFile
from modelscan.formats.repo_names import short, split_repo_name

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
_GGUF_FILE = re.compile(
    r"(?:^|[-._/])(?P<label>(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F?P?16|F?P?32))"
    r"(?:-\d{5}-of-\d{5})?\.gguf$",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"mmproj|imatrix", re.IGNORECASE)
_TRAINING = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state|adapter_)")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}(?=\.)")


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """``parameters``: dtype -> count as the hub states it. Unknown is None or empty."""

    source: str  # huggingface | modelscope
    repo: str
    commit: str | None = None
    task: str | None = None  # the hub's own word
    library: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_url: str | None = None
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    base_relation: str | None = None  # adapter | finetune | quantized | merge
    datasets: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    gated: bool | None = None
    gated_kind: str | None = None  # auto | manual
    private: bool | None = None
    downloads: int | None = None
    likes: int | None = None
    created_at: str | None = None
    last_modified: str | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    total_parameters: int | None = None
    context_tokens: int | None = None
    architecture: str | None = None
    quantization: str | None = None  # config.json's quantization method
    files: tuple[WeightFile, ...] = ()
    files_complete: bool = True  # False where the hub cut its list
    description: str | None = None
    size_bytes: int | None = None

    @property
    def weight_format(self) -> str:
        """gguf | mlx | safetensors | onnx | pickle | unknown, by name, files and tags."""
        named = split_repo_name(short(self.repo)).format
        paths = [file.path.lower() for file in self.files]
        tags = {*self.tags, self.library or ""}
        for kind, suffix in (("gguf", ".gguf"), ("mlx", ".mlx"), ("safetensors", ".safetensors"),
                             ("onnx", ".onnx"), ("pickle", ".bin")):  # fmt: skip
            if named == kind or kind in tags or any(p.endswith(suffix) for p in paths):
                return kind
        return named or ("safetensors" if self.parameters else "unknown")


def record(info: RepoInfo) -> SourceRecord:
    """A ``repository`` record: facts the hub states and its weights as variants."""
    facts: dict[str, Any] = {
        "license": info.license,
        "task": TASKS.get(info.task or ""),
        "open_weights": None if info.private else True,
        "downloads": info.downloads,
        "parameters": info.total_parameters,
        "limits.context_tokens": info.context_tokens,
        "tags": plain_tags(info.tags),
    }
    if split_repo_name(short(info.repo)).derived or packed(info.parameters):
        facts.pop("parameters")  # containers were counted
    return SourceRecord(
        key=info.repo,
        kind="repository",
        name=short(info.repo),
        repos=(info.repo,) if info.source == "huggingface" else (),
        base=info.base_models[0] if len(info.base_models) == 1 else None,
        facts={name: value for name, value in facts.items() if value not in (None, ())},
        variants=variants(info),
    )


def variants(info: RepoInfo) -> tuple[Variant, ...]:
    """One variant per set of weights: GGUF files by quantization, else the repository."""
    kind = info.weight_format
    if kind == "gguf":
        groups: Sequence[tuple[str | None, tuple[WeightFile, ...]]]
        groups = gguf_groups(info.files) or unlabelled_groups(info.files)
        if groups:
            return tuple(_variant(info, kind, label, files) for label, files in groups)
    pickled = kind == "pickle"
    weights = tuple(
        file for file in info.files
        if (is_pickled_weights(file.path) if pickled else file.path.endswith(".safetensors"))
    )  # fmt: skip
    return (_variant(info, kind, quantization_label(info), weights),)


def is_pickled_weights(path: str) -> bool:
    """``pytorch_model*.bin`` and the like; not what a training left beside them."""
    name = path.lower()
    return name.endswith(".bin") and "/" not in name and not _TRAINING.match(name)


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


def gguf_groups(files: Iterable[WeightFile]) -> Sequence[tuple[str, tuple[WeightFile, ...]]]:
    """(quantization, its files) in order; parts of one split file belong together.

    Projectors (mmproj) and importance matrices are not sets of weights.
    """
    groups: dict[tuple[str, str], list[WeightFile]] = {}
    for file in _sets_of_weights(files):
        label = gguf_label(file.path)
        if label:
            groups.setdefault((label, _SPLIT.sub("", file.path)), []).append(file)
    return [(label, tuple(found)) for (label, _), found in sorted(groups.items())]


def unlabelled_groups(
    files: Iterable[WeightFile],
) -> Sequence[tuple[None, tuple[WeightFile, ...]]]:
    """The same for names that say no quantization (``model.gguf``): only the headers know it."""
    groups: dict[str, list[WeightFile]] = {}
    for file in _sets_of_weights(files):
        groups.setdefault(_SPLIT.sub("", file.path), []).append(file)
    return [(None, tuple(found)) for found in groups.values()]


def _sets_of_weights(files: Iterable[WeightFile]) -> list[WeightFile]:
    named = sorted(files, key=lambda f: f.path)
    return [
        file for file in named
        if file.path.lower().endswith(".gguf") and not _BESIDE.search(file.path)
    ]  # fmt: skip


def gguf_label(path: str) -> str | None:
    """``Qwen3-8B-Q4_K_M.gguf`` -> ``Q4_K_M``; None when the name does not say."""
    match = _GGUF_FILE.search(path)
    return match["label"].upper() if match else None


def plain_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags that are words, without those that repeat another fact (``license:mit``)."""
    return tuple(dict.fromkeys(tag for tag in tags if ":" not in tag))[:24]


# Foreign values, taken only where they have the expected type.


def text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def strings(value: Any) -> tuple[str, ...]:
    """A string or a list of strings as a tuple without repetitions."""
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(item for item in items if isinstance(item, str) and item))


def whole(value: Any) -> int | None:
    """A number >= 0 as an int; booleans, negatives and absurd values are unknown."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if number and 0 <= value < 1e18 else None


def flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
