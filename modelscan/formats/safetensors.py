"""Parser of safetensors headers: tensors, dtypes and shapes, without the weights.

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
_MAX_DIGITS = 19  # of a number: 2^63 bytes are more than any disk
_MAX_DIMENSIONS = 64
_MAX_VALUES = 1 << 63


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. ``size_bytes`` is the size of the whole file, ``data_bytes`` of its
    tensors.
    """

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]
    header_bytes: int
    data_bytes: int

    @property
    def size_bytes(self) -> int:
        """The size of the whole file in bytes, according to the header."""
        return 8 + self.header_bytes + self.data_bytes


class BadHeader(ModelscanError):
    """The file is not safetensors, or is damaged (exit code 1)."""

    default_code = "bad_safetensors"


def header_length(first: bytes) -> int:
    """The length of the JSON in bytes, from the first 8 bytes. Raises BadHeader."""
    if len(first) < 8:
        raise BadHeader(f"not a safetensors file: it is only {len(first)} bytes long")
    length = int(struct.unpack("<Q", first[:8])[0])
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise BadHeader(f"not a safetensors file: its header length is {length} bytes")
    return length


def read_header(read: Read, *, first_bytes: int = 8) -> Header:
    """Read a header through ``read(offset, size)``. Raises BadHeader.

    ``first_bytes`` > 8: bytes to read in the first call, to save calls when each is a request.
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
    """The header from its JSON text. Raises BadHeader if it is inconsistent."""
    try:
        data = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise BadHeader(f"the safetensors header is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadHeader("the safetensors header is not a JSON object")
    metadata = data.pop("__metadata__", None)
    entries = [_tensor(str(name), entry) for name, entry in data.items()]
    return Header(
        tensors=tuple(sorted((tensor for tensor, _ in entries), key=lambda t: t.name)),
        metadata={str(k): str(v) for k, v in metadata.items()}
        if isinstance(metadata, dict)
        else {},
        header_bytes=len(text),
        data_bytes=max((end for _, end in entries), default=0),
    )


def _integer(digits: str) -> int:
    """A number of plausible length: Python needs quadratic time for a long one."""
    if len(digits) > _MAX_DIGITS:
        raise BadHeader(f"the safetensors header has a number of {len(digits):,} digits")
    return int(digits)


def _tensor(name: str, entry: Any) -> tuple[Tensor, int]:
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        start, end = entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, start, end))
    except (TypeError, KeyError, ValueError) as error:
        problem = f"{error!r}"[:200]
        raise BadHeader(
            f"the tensor '{name[:200]}' has an invalid description: {problem}"
        ) from error
    if not isinstance(dtype, str) or not whole or end < start or not _plausible(shape):
        raise BadHeader(f"the tensor '{name[:200]}' has an invalid description")
    return Tensor(name=name, shape=shape, type=dtype, size_bytes=end - start), end


def _plausible(shape: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape can exist."""
    if len(shape) > _MAX_DIMENSIONS:
        return False
    values = 1
    for length in shape:
        values *= length
    return values < _MAX_VALUES


def parameters_by_dtype(tensors: Iterable[Tensor]) -> dict[str, int]:
    """dtype -> number of stored values; packed types (I32 of GPTQ, U8 of NVFP4) contain several
    weights per value.
    """
    counts: dict[str, int] = {}
    for tensor in tensors:
        count = 1
        for length in tensor.shape:
            count *= length
        counts[tensor.type] = counts.get(tensor.type, 0) + count
    return dict(sorted(counts.items()))
