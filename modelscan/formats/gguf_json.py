"""A parsed GGUF header as JSON and back, without the tokenizer's long arrays: some 50 kB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.architecture import Tensor
from modelscan.formats.gguf import GgufHeader, LongArray, Value

_LONG = "length"


def to_json(header: GgufHeader) -> dict[str, Any]:
    """The header's facts as a JSON object."""
    return {
        "version": header.version,
        "metadata": {key: _to(value) for key, value in header.metadata.items()},
        "tensors": [[t.name, list(t.shape), t.type, t.size_bytes] for t in header.tensors],
        "offsets": list(header.tensor_offsets),
        "alignment": header.alignment,
        "data_offset": header.data_offset,
        "file_bytes": header.file_bytes,
    }


def from_json(data: Mapping[str, Any]) -> GgufHeader:
    """The header of ``to_json``. Raises KeyError, TypeError or ValueError for anything else."""
    return GgufHeader(
        version=data["version"],
        metadata={key: _from(value) for key, value in data["metadata"].items()},
        tensors=tuple(
            Tensor(name, tuple(shape), kind, size) for name, shape, kind, size in data["tensors"]
        ),
        tensor_offsets=tuple(data["offsets"]),
        alignment=data["alignment"],
        data_offset=data["data_offset"],
        file_bytes=data["file_bytes"],
    )


def _to(value: Value) -> Any:
    if isinstance(value, LongArray):
        return {"type": value.type, _LONG: value.length}
    return list(value) if isinstance(value, tuple) else value


def _from(value: Any) -> Value:
    if isinstance(value, Mapping):
        return LongArray(value["type"], value[_LONG])
    return tuple(value) if isinstance(value, list) else value
