"""The header of a safetensors file: tensors, dtypes and shapes, without the weights.

Format: 8 bytes little-endian length, then that many bytes of JSON
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from modelscan.core.architecture import Tensor
from modelscan.core.errors import ModelscanError
from modelscan.core.units import MIB

Read = Callable[[int, int], bytes]  # (offset, size) -> bytes
MAX_HEADER_BYTES = 100 * MIB  # the format's own limit


@dataclass(frozen=True, slots=True)
class Header:
    """``size_bytes`` is the whole file as the header describes it, ``data_bytes`` its tensors."""

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]
    header_bytes: int
    data_bytes: int

    @property
    def size_bytes(self) -> int:
        return 8 + self.header_bytes + self.data_bytes


class BadHeader(ModelscanError):
    """The file is not safetensors, or is damaged: exit 1."""

    default_code = "bad_safetensors"


def header_length(first: bytes) -> int:
    """The JSON's length from the file's first 8 bytes; raises BadHeader."""
    if len(first) < 8:
        raise BadHeader(f"not a safetensors file: {len(first)} of its first 8 bytes are there")
    length = int(struct.unpack("<Q", first[:8])[0])
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise BadHeader(f"not a safetensors file: it announces a header of {length} bytes")
    return length


def read_header(read: Read, *, first_bytes: int = 8) -> Header:
    """Read a header through ``read(offset, size)``; raises BadHeader.

    ``first_bytes`` > 8 fetches the start in one go, for readers where a call is a request.
    """
    first = read(0, max(8, first_bytes))
    length = header_length(first)
    text = first[8 : 8 + length]
    if len(text) < length:
        text += read(8 + len(text), length - len(text))
    if len(text) < length:
        raise BadHeader(f"the safetensors header is cut off: {len(text)} of {length} bytes")
    return parse_header(text)


def parse_header(text: bytes) -> Header:
    """The JSON part as values; raises BadHeader where it contradicts itself."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadHeader(f"the safetensors header is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadHeader("the safetensors header is not a JSON object")
    metadata = data.pop("__metadata__", None)
    made = [_tensor(str(name), entry) for name, entry in data.items()]
    return Header(
        tensors=tuple(sorted((tensor for tensor, _ in made), key=lambda t: t.name)),
        metadata={str(k): str(v) for k, v in metadata.items()}
        if isinstance(metadata, dict)
        else {},
        header_bytes=len(text),
        data_bytes=max((end for _, end in made), default=0),
    )


def _tensor(name: str, entry: Any) -> tuple[Tensor, int]:
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        start, end = entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, start, end))
    except (TypeError, KeyError, ValueError) as error:
        raise BadHeader(f"the tensor '{name}' is described wrongly: {error!r}") from error
    if not isinstance(dtype, str) or not whole or end < start:
        raise BadHeader(f"the tensor '{name}' is described wrongly")
    return Tensor(name=name, shape=shape, type=dtype, size_bytes=end - start), end


def parameters_by_dtype(tensors: Iterable[Tensor]) -> dict[str, int]:
    """dtype -> number of stored values; packed types (I32 of GPTQ, U8 of NVFP4) hold several."""
    counts: dict[str, int] = {}
    for tensor in tensors:
        count = 1
        for length in tensor.shape:
            count *= length
        counts[tensor.type] = counts.get(tensor.type, 0) + count
    return dict(sorted(counts.items()))
