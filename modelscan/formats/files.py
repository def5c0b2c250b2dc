"""The role, format, shard and quantization of a repository's file, from its name. Pure.

    >>> describe("UD-Q4_K_XL/Qwen3-235B-UD-Q4_K_XL-00001-of-00003.gguf")
    ... # weights, gguf, UD-Q4_K_XL, shard 1 of 3

Names are only a convention: where a header can be read, the header decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

from modelscan.core.model import WeightFile


class Role(Enum):
    """The purpose of a file."""

    WEIGHTS = "weights"
    PROJECTOR = "projector"  # llama.cpp's image and audio encoders (mmproj) are separate files
    DRAFT = "draft"  # a small model that proposes tokens: draft, MTP or EAGLE heads
    ADAPTER = "adapter"
    IMPORTANCE_MATRIX = "importance_matrix"
    TRAINING = "training"  # optimizer and scheduler states
    INDEX = "index"  # maps tensors to shards
    CONFIG = "config"
    TOKENIZER = "tokenizer"
    CODE = "code"  # Python modules of the model
    OTHER = "other"


FileFormat = Literal["gguf", "safetensors", "pickle"]
# Opening a file of these types can run code.
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".joblib", ".mar")
_SUFFIXES: dict[str, FileFormat] = {
    ".gguf": "gguf", ".safetensors": "safetensors", **dict.fromkeys(PICKLE_SUFFIXES, "pickle"),
}  # fmt: skip
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")
_SHARD = re.compile(r"-(?P<index>\d{5})-of-(?P<count>\d{5})(?=\.[^.]+$)")
_LABEL = re.compile(
    r"(?:^|[-._/])(?P<label>(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F?P?16|F?P?32))"
    r"(?:\.gguf)?(?:-\d{5}-of-\d{5})?\.gguf$",
    re.IGNORECASE,
)
_COPY = re.compile(r"(^|/)(consolidated|original)[^/]*", re.IGNORECASE)
# By the name without its folder, in this order; the first match decides.
_ROLES = (
    (Role.INDEX, re.compile(r"\.(safetensors|bin)\.index\.json$")),
    (Role.PROJECTOR, re.compile(r"mmproj")),
    (Role.IMPORTANCE_MATRIX, re.compile(r"imatrix")),
    (Role.TRAINING, re.compile(r"^(training_args|optimizer|scheduler|scaler|rng_state)")),
    (Role.ADAPTER, re.compile(r"^adapter_(?!config\.json$)")),
    (Role.DRAFT, re.compile(r"^(mtp|draft|eagle\d*)[-_.].*\.gguf$")),
)
# By the full path: the files that an engine reads in addition to the weights.
_PATTERNS = {
    Role.CONFIG: (
        "config.json", "generation_config.json", "preprocessor_config.json",
        "processor_config.json", "video_preprocessor_config.json", "hf_quant_config.json",
        "quantize_config.json", "quant_config.json", "params.json", "modules.json",
        "config_sentence_transformers.json", "sentence_bert_config.json", "1_Pooling/config.json",
        "adapter_config.json",
    ),
    Role.TOKENIZER: (
        "tokenizer*", "vocab*", "merges.txt", "*.model", "special_tokens_map.json",
        "added_tokens.json", "chat_template*", "tekken.json",
    ),
    Role.CODE: ("*.py",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a split file; ``index`` counts from 1."""

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file as described by its name.

    ``whole`` is the path without the shard number, common to all parts of a split file.
    ``quantization`` is the label in a GGUF file's name, in upper case. ``copy``: a second copy of
    the same weights (``consolidated``, ``original``).
    """

    path: str
    role: Role
    format: FileFormat | None
    quantization: str | None
    shard: Shard | None
    whole: str
    copy: bool

    @property
    def starts_model(self) -> bool:
        """True for the file that is passed to the engine: model weights, the first part if
        split.
        """
        return self.role is Role.WEIGHTS and (self.shard is None or self.shard.index == 1)


@lru_cache(maxsize=65536)
def describe(path: str) -> RepositoryFile:
    """The description of the file with this path (with ``/``, relative or absolute)."""
    name = path.rpartition("/")[2].lower()
    file_format = _SUFFIXES.get(name[name.rfind(".") :] if "." in name else "")
    match = _SHARD.search(path)
    return RepositoryFile(
        path=path,
        role=_role(path, name, file_format),
        format=file_format,
        quantization=_label(path) if file_format == "gguf" else None,
        shard=Shard(int(match["index"]), int(match["count"])) if match else None,
        whole=_SHARD.sub("", path),
        copy=_COPY.search(path) is not None,
    )


def _role(path: str, name: str, file_format: FileFormat | None) -> Role:
    for role, pattern in _ROLES:
        if pattern.search(name):
            return role
    if file_format in ("gguf", "safetensors") or (name.endswith(".bin") and "/" not in path):
        return Role.WEIGHTS
    if file_format is not None:
        return Role.OTHER
    for role, patterns in _PATTERNS.items():
        if any(fnmatchcase(path, pattern) for pattern in patterns):
            return role
    return Role.OTHER


def _label(path: str) -> str | None:
    match = _LABEL.search(path)
    return match["label"].upper() if match else None


def is_projector(path: str) -> bool:
    """True for an image or audio encoder of llama.cpp."""
    return describe(path).role is Role.PROJECTOR


def is_gguf_name(name: str) -> bool:
    """Whether a local file's name is one of a GGUF file: by its ending, or a blob's of Ollama."""
    return name.endswith(".gguf") or _BLOB.fullmatch(name) is not None


def is_blob_name(name: str) -> bool:
    """Whether a file is named by its content alone."""
    return _BLOB.fullmatch(name) is not None


def parts(path: str) -> list[str]:
    """The paths of all parts of a split file; of an unsplit file, its own path."""
    match = _SHARD.search(path)
    if not match:
        return [path]
    start, end, count = path[: match.start()], path[match.end() :], match["count"]
    return [f"{start}-{index:05d}-of-{count}{end}" for index in range(1, int(count) + 1)]


def gguf_sets(
    files: Iterable[WeightFile],
) -> list[tuple[str | None, tuple[WeightFile, ...]]]:
    """(quantization, files) of each model in GGUF files, sorted; the parts of a split file are
    together.

    The quantization is None if no name contains one (``model.gguf``): only the headers have it. If
    some names do, files without one (e.g. a vocabulary) are left out.
    """
    sets: dict[tuple[str, str], list[WeightFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        description = describe(file.path)
        if description.format == "gguf" and description.role is Role.WEIGHTS:
            sets.setdefault((description.quantization or "", description.whole), []).append(file)
    labelled = {key: members for key, members in sets.items() if key[0]}
    chosen = sorted(labelled.items()) if labelled else list(sets.items())
    return [(label or None, tuple(members)) for (label, _), members in chosen]


_PROJECTOR_ORDER = ("F16", "FP16", "BF16", "Q8_0", "F32")


def projectors(files: Iterable[WeightFile]) -> list[WeightFile]:
    """The repository's projectors, best first: 16-bit files are small and lossless."""

    def rank(file: WeightFile) -> tuple[int, str]:
        label = describe(file.path).quantization
        is_listed = label in _PROJECTOR_ORDER
        return _PROJECTOR_ORDER.index(str(label)) if is_listed else len(_PROJECTOR_ORDER), file.path

    candidates = (file for file in files if is_projector(file.path))
    return sorted((file for file in candidates if describe(file.path).format == "gguf"), key=rank)
