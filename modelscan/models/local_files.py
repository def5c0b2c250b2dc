"""The files of a local folder that belong to the model, without adapters, drafts and copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.formats.files import Role, describe
from modelscan.formats.header_roles import gguf_role, safetensors_role
from modelscan.formats.reader import reader
from modelscan.formats.safetensors import BadHeader, Header, parameters_by_dtype, read_header

if TYPE_CHECKING:
    from modelscan.formats.gguf import GgufHeader

_DRAFT_RATIO = 4  # a draft model has at most a fifth of its model's size
_INDEX = "*.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class SafetensorsFiles:
    """The files an engine loads, their tensor bytes, dtype counts, and notes on omitted files."""

    files: tuple[Path, ...]
    tensor_bytes: int
    dtypes: Mapping[str, int]
    mlx: bool
    notes: tuple[str, ...] = ()


def safetensors_files(folder: Path) -> SafetensorsFiles:
    """The safetensors files of a model: those of its index, else all that are model weights.

    Raises UsageError if the index names a file that does not exist.
    """
    present = sorted(folder.glob("*.safetensors"))
    listed = _listed(folder)
    chosen = [path for path in present if path.name in listed] if listed else _unlisted(present)
    headers = {path: _header(path) for path in chosen}
    if not listed:
        headers = _model_weights(headers)
    left_out = [path.name for path in present if path not in headers]
    counts = parameters_by_dtype(t for header in headers.values() for t in header.tensors)
    return SafetensorsFiles(
        files=tuple(headers),
        tensor_bytes=sum(header.data_bytes for header in headers.values()),
        dtypes=counts,
        mlx=any(header.metadata.get("format") == "mlx" for header in headers.values()),
        notes=tuple(f"{name} is not part of the model's weights: left out" for name in left_out),
    )


def _listed(folder: Path) -> frozenset[str]:
    """The files that the indices name; empty without a readable index."""
    names: set[str] = set()
    for index in sorted(folder.glob(_INDEX)):
        if not describe(index.name).copy:
            names |= set(_weight_map(index))
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(names)} files of the weights are missing, e.g. {missing[0]}",
            hint="download the missing files into the same folder",
            code="missing_shards",
            details={"missing": missing},
        )
    return frozenset(names)


def _weight_map(index: Path) -> Iterable[str]:
    try:
        index_json: Any = json_value(index.read_bytes())
    except (OSError, ValueError):
        return ()  # treated as missing: all files count
    mapping = index_json.get("weight_map") if isinstance(index_json, dict) else None
    values = mapping.values() if isinstance(mapping, dict) else ()
    return [name for name in values if isinstance(name, str) and "/" not in name]


def _unlisted(present: Sequence[Path]) -> list[Path]:
    """Model weights by name, if there is no index; copies only if there is nothing else."""
    weights = [path for path in present if describe(path.name).role is Role.WEIGHTS]
    first = [path for path in weights if not describe(path.name).copy]
    return first or weights


def _header(path: Path) -> Header:
    """Raises BadHeader with the file's name, UsageError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return read_header(reader(stream))
    except BadHeader as error:
        hint = "download it again: this may be an error page or a Git LFS pointer"
        raise BadHeader(f"{path}: {error.message}", hint=error.hint or hint) from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="unreadable") from error


def _model_weights(headers: Mapping[Path, Header]) -> dict[Path, Header]:
    """Model weights by header; in a folder with only an adapter, the adapter."""
    model = {
        path: header
        for path, header in headers.items()
        if safetensors_role(header.tensors) is Role.WEIGHTS
    }
    return model or dict(headers)


def gguf_models(headers: Mapping[Path, GgufHeader]) -> tuple[list[Path], list[str]]:
    """The first parts of all model files, and a note for each other file.

    A model much smaller than the largest is its draft model, regardless of its name.
    """
    sizes = {
        path: _size(header) for path, header in headers.items() if gguf_role(header) is Role.WEIGHTS
    }
    largest = max(sizes.values(), default=0)
    chosen = [path for path, size in sizes.items() if size * _DRAFT_RATIO > largest or not largest]
    others = [path.name for path in headers if path not in chosen]
    return chosen, [f"{name} is not the model: left out" for name in others]


def _size(header: GgufHeader) -> int:
    """Hidden size squared times blocks: orders models independently of their quantization."""
    blocks, hidden = header.key("block_count"), header.key("embedding_length")
    numbers = [value if isinstance(value, int) else 0 for value in (blocks, hidden)]
    return numbers[0] * numbers[1] ** 2
