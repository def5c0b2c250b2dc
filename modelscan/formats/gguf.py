"""Parser of GGUF headers: metadata and tensor table, without the weights.

Layout (ggml ``docs/gguf.md``): magic, version, tensor count, metadata count, metadata, tensor
table, padding, data. Token lists make a header several MiB long, so it is read in chunks. All
counts and lengths are checked against limits, because a malicious file may contain any number.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from modelscan.core.architecture import Tensor
from modelscan.core.errors import UsageError
from modelscan.formats.gguf_types import BY_ID, tensor_bytes

Reader: TypeAlias = Callable[[int, int], bytes]
Scalar: TypeAlias = "int | float | bool | str"

MAX_HEADER_BYTES = 256 << 20  # the largest real ones are about 20 MiB
MAX_TENSORS = 200_000
MAX_METADATA = 20_000
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
MAX_NAME_BYTES = 65_535
MAX_STRINGS = 8_000_000  # over all arrays: tokens and merges of the largest vocabularies are < 1 M
KEPT_ARRAY = 1024  # of longer arrays (tokens, scores) only the length is kept
_CHUNK = 1 << 20

_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9


class GgufError(UsageError):
    """The bytes are not a GGUF header that llama.cpp accepts."""

    default_code = "gguf"


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array that is too long to keep: its element type and length."""

    type: int
    length: int


Value: TypeAlias = "Scalar | tuple[Scalar, ...] | LongArray"


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A parsed GGUF header. ``tensor_offsets`` are relative to ``data_offset``, in bytes.

    ``file_bytes`` is the real size if known, ``expected_bytes`` the size according to the table.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    tensor_offsets: tuple[int, ...]
    alignment: int
    data_offset: int
    file_bytes: int | None = None

    @property
    def architecture(self) -> str:
        """The metadata's ``general.architecture``; "" if missing."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    @property
    def expected_bytes(self) -> int:
        """The file size in bytes according to the tensor table."""
        ends = (o + t.size_bytes for o, t in zip(self.tensor_offsets, self.tensors, strict=True))
        return self.data_offset + max(ends, default=0)

    @property
    def truncated(self) -> bool:
        """True if the file is known to be shorter than ``expected_bytes``."""
        return self.file_bytes is not None and self.file_bytes < self.expected_bytes

    @property
    def split_count(self) -> int:
        """The number of files of a split model; 1 if it is not split."""
        return max(1, self.integer("split.count") or 1)

    @property
    def split_no(self) -> int:
        """The 0-based number of this part of a split model."""
        return self.integer("split.no") or 0

    def key(self, name: str) -> Value | None:
        """The metadata value of ``{architecture}.{name}``: exact name, never a suffix."""
        return self.metadata.get(f"{self.architecture}.{name}")

    def integer(self, full_name: str) -> int | None:
        """The metadata value as an integer; None if it is missing or not a number."""
        value = self.metadata.get(full_name)
        return int(value) if isinstance(value, (int, float)) else None

    def string(self, full_name: str) -> str | None:
        """The metadata value; None if it is missing or not text."""
        value = self.metadata.get(full_name)
        return value if isinstance(value, str) else None

    def length(self, full_name: str) -> int | None:
        """The number of elements of an array; None if it is missing or not an array."""
        value = self.metadata.get(full_name)
        if isinstance(value, LongArray):
            return value.length
        return len(value) if isinstance(value, tuple) else None


def parse_header(read: Reader, size: int | None = None) -> GgufHeader:
    """Parse the header through ``read(offset, length) -> bytes`` (fewer bytes at the end of the
    file).

    ``size`` is the file size in bytes if known. Raises GgufError if the file is not GGUF v2 or v3,
    ends inside the header, or exceeds the limits of this module.
    """
    cursor = _Cursor(read, size)
    if cursor.take(4) != b"GGUF":
        raise GgufError(
            "not a GGUF file: the magic bytes are missing",
            hint="give a .gguf file, or download it again: this may be an error page or a Git LFS "
            "pointer",
        )
    version = cursor.scalar("I")
    if version not in (2, 3):
        raise GgufError(
            f"GGUF version {version} is not supported (2 and 3 are)",
            hint="convert the model again with a current llama.cpp",
        )
    n_tensors, n_metadata = cursor.scalar("Q"), cursor.scalar("Q")
    _bounded(n_tensors, MAX_TENSORS, "tensors")
    _bounded(n_metadata, MAX_METADATA, "metadata entries")
    metadata = _metadata(cursor, n_metadata)
    alignment = _alignment(metadata)
    table = [_tensor(cursor) for _ in range(n_tensors)]
    data_offset = -(-cursor.position // alignment) * alignment
    tensors, offsets = _sized(table, None if size is None else size - data_offset)
    return GgufHeader(version, metadata, tensors, offsets, alignment, data_offset, size)


def merge_shards(headers: Iterable[GgufHeader]) -> GgufHeader:
    """Merge the headers of a split model: metadata of the first shard, tensors of all shards.

    Raises GgufError if a shard is missing or a tensor occurs twice.
    """
    ordered = sorted(headers, key=lambda header: header.split_no)
    if not ordered:
        raise GgufError("a split model needs at least one file")
    first = ordered[0]
    if len(ordered) != first.split_count:
        raise GgufError(
            f"{len(ordered)} of {first.split_count} files of this split model were found",
            hint="download the missing -0000N-of-0000M.gguf files into the same folder",
        )
    tensors = tuple(tensor for header in ordered for tensor in header.tensors)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise GgufError("a tensor occurs in two files of this split model")
    offsets = tuple(offset for header in ordered for offset in header.tensor_offsets)
    sizes = [header.file_bytes for header in ordered]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return GgufHeader(
        first.version, first.metadata, tensors, offsets, first.alignment, first.data_offset, total
    )


class _Cursor:
    """Sequential reader with look-ahead, limited to MAX_HEADER_BYTES and the file size."""

    def __init__(self, read: Reader, size: int | None) -> None:
        self._read = read
        self._size = size
        self._buffer = b""
        self._start = 0  # file offset of the buffer
        self._at = 0  # position in the buffer
        self.strings_left = MAX_STRINGS

    @property
    def position(self) -> int:
        return self._start + self._at

    def take(self, length: int) -> bytes:
        self._fill(length)
        data = self._buffer[self._at : self._at + length]
        self._at += length
        return data

    def scalar(self, code: str) -> int:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))
        return int(value)

    def text(self) -> str:
        length = self.scalar("Q")
        if length > MAX_HEADER_BYTES:
            raise GgufError(f"a string of {length} bytes in the header")
        return self.take(length).decode("utf-8", errors="replace")

    def skip(self, length: int) -> None:
        """Skip bytes without reading them."""
        self._check(self.position + length)
        if self._at + length <= len(self._buffer):
            self._at += length
        else:
            self._start, self._buffer, self._at = self.position + length, b"", 0

    def skip_strings(self, count: int) -> None:
        self.strings_left -= count
        if self.strings_left < 0:
            raise GgufError(f"more than {MAX_STRINGS} strings in the header")
        for _ in range(count):
            self.skip(self.scalar("Q"))

    def _check(self, end: int) -> None:
        if end > MAX_HEADER_BYTES:
            raise GgufError(f"the header claims more than {MAX_HEADER_BYTES >> 20} MiB")
        if self._size is not None and end > self._size:
            raise GgufError(f"the header is cut off: it needs {end} bytes, there are {self._size}")

    def _fill(self, length: int) -> None:
        missing = self._at + length - len(self._buffer)
        if missing <= 0:
            return
        self._check(self.position + length)
        rest = self._buffer[self._at :]
        more = self._read(self._start + len(self._buffer), max(missing, _CHUNK))
        if len(more) < missing:
            raise GgufError(
                f"the header is cut off after {self._start + len(self._buffer) + len(more)} bytes",
                hint="download the file again: it is incomplete",
            )
        self._start, self._buffer, self._at = self.position, rest + more, 0


def _bounded(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise GgufError(f"the header claims {count} {what}; no real model has more than {limit}")


def _metadata(cursor: _Cursor, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for _ in range(count):
        name = cursor.text()
        if len(name) > MAX_NAME_BYTES:
            raise GgufError("a metadata key longer than 65535 bytes")
        if name in metadata:
            raise GgufError(f"the metadata key '{name[:80]}' occurs twice")
        metadata[name] = _value(cursor, cursor.scalar("I"))
    return metadata


def _value(cursor: _Cursor, kind: int) -> Value:
    if kind == _ARRAY:
        return _array(cursor, cursor.scalar("I"), cursor.scalar("Q"))
    if kind == _STRING:
        return cursor.text()
    if kind not in _SCALARS:
        raise GgufError(f"unknown metadata type {kind}")
    return _unpack(cursor, kind, 1)[0]


def _array(cursor: _Cursor, kind: int, length: int) -> Value:
    if kind == _STRING:
        if length <= KEPT_ARRAY:
            return tuple(cursor.text() for _ in range(length))
        cursor.skip_strings(length)
        return LongArray(kind, length)
    if kind not in _SCALARS:
        raise GgufError(f"an array of unsupported type {kind}")
    if length <= KEPT_ARRAY:
        return _unpack(cursor, kind, length)
    cursor.skip(length * struct.calcsize("<" + _SCALARS[kind]))
    return LongArray(kind, length)


def _unpack(cursor: _Cursor, kind: int, count: int) -> tuple[Scalar, ...]:
    form = f"<{count}{_SCALARS[kind]}"
    return struct.unpack(form, cursor.take(struct.calcsize(form)))


def _alignment(metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", 32)
    if not isinstance(value, int) or not 0 < value <= 1 << 20 or value & (value - 1):
        raise GgufError(f"the alignment {value!r} is not a power of two")
    return value


def _tensor(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.text()
    dimensions = cursor.scalar("I")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise GgufError(f"tensor '{name[:80]}' claims {dimensions} dimensions")
    shape = tuple(cursor.scalar("Q") for _ in range(dimensions))
    values = 1
    for dimension in shape:
        values *= dimension
    if values >= 1 << 60:
        raise GgufError(f"tensor '{name[:80]}' claims {values} values")
    return name, shape, cursor.scalar("I"), cursor.scalar("Q")


def _sized(
    table: list[tuple[str, tuple[int, ...], int, int]], data_bytes: int | None
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Tensors with their sizes in bytes; for an unknown type, the distance to the next tensor."""
    starts = sorted(offset for *_, offset in table)
    following = dict(itertools.pairwise(starts))
    tensors = []
    for name, shape, kind, offset in table:
        tensor_type = BY_ID.get(kind)
        if tensor_type:
            size = tensor_bytes(tensor_type, shape)
        else:
            size = max(0, (following.get(offset) or data_bytes or offset) - offset)
        tensors.append(
            Tensor(name, shape, tensor_type.name if tensor_type else f"type{kind}", size)
        )
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise GgufError("a tensor name occurs twice in the table")
    return tuple(tensors), tuple(offset for *_, offset in table)
