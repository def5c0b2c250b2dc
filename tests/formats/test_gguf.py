"""GGUF headers: read in bounded pieces, hostile ones refused, shards joined."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.formats.gguf import (
    GgufError,
    GgufHeader,
    LongArray,
    Reader,
    merge_shards,
    parse_header,
)
from modelscan.formats.gguf_types import BY_ID, BY_NAME, FILE_TYPES, tensor_bytes
from scripts.sparse_gguf import header, write
from scripts.sparse_models import MODELS


def reader(data: bytes) -> Reader:
    return lambda offset, length: data[offset : offset + length]


def start(path: Path) -> bytes:
    """The first MiB: the rest is a hole of many GiB."""
    with path.open("rb") as file:
        return file.read(1 << 20)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(metadata: bytes = b"", count: int = 0, tensors: bytes = b"", tensor_count: int = 0,
         version: int = 3) -> bytes:  # fmt: skip
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, count) + metadata + tensors


def tensor(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def test_a_real_shape_is_read_whole(tmp_path: Path):
    path = tmp_path / "model.gguf"
    size = write(MODELS["llama-3.2-3b"](), path)
    data = start(path)
    found = parse_header(reader(data), path.stat().st_size)
    assert found.architecture == "llama"
    assert found.integer("llama.block_count") == 28
    assert found.key("attention.head_count_kv") == 8
    assert found.tensor_bytes == size
    assert len(found.tensors) == 2 + 28 * 9
    assert not found.truncated
    assert found.expected_bytes <= path.stat().st_size
    assert path.stat().st_blocks * 512 < 1 << 20, "the file must be a hole"


def test_only_the_header_is_read():
    head, _, padded = header(MODELS["qwen3-235b-a22b"]())
    asked: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return (head + bytes(4 << 20))[offset : offset + length]

    parse_header(read, len(head) + padded)
    assert sum(length for _, length in asked) < 3 << 20
    assert all(offset <= len(head) for offset, _ in asked)


def test_keys_match_exactly_and_not_by_suffix():
    values = text("x.leading_dense_block_count") + struct.pack("<II", 4, 3)
    values += text("x.block_count") + struct.pack("<II", 4, 61)
    values += text("general.architecture") + struct.pack("<I", 8) + text("x")
    found = parse_header(reader(gguf(values, 3)))
    assert found.key("block_count") == 61
    assert found.key("leading_dense_block_count") == 3


def test_long_arrays_are_counted_and_short_ones_kept():
    tokens = b"".join(text(f"t{i}") for i in range(5000))
    values = text("tokens") + struct.pack("<IIQ", 9, 8, 5000) + tokens
    values += text("scores") + struct.pack("<IIQ", 9, 6, 5000) + bytes(20000)
    values += text("kv") + struct.pack("<IIQ3i", 9, 5, 3, 0, 8, -1)
    values += text("flags") + struct.pack("<IIQ3?", 9, 7, 3, True, False, True)
    found = parse_header(reader(gguf(values, 4)))
    assert found.metadata["tokens"] == LongArray(8, 5000)
    assert found.length("tokens") == found.length("scores") == 5000
    assert found.metadata["kv"] == (0, 8, -1)
    assert found.metadata["flags"] == (True, False, True)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"GGU", b"GGUF", b"PK\x03\x04" + bytes(100), gguf(version=1), gguf(version=9),
        gguf(count=1 << 60), gguf(tensor_count=1 << 60),
        gguf(text("k") + struct.pack("<IIQ", 9, 8, 1 << 60), 1),
        gguf(text("k") + struct.pack("<IIQ", 9, 10, 1 << 60), 1),
        gguf(text("k") + struct.pack("<IQ", 8, 1 << 62), 1),
        gguf(struct.pack("<Q", 1 << 62), 1),
        gguf(text("k") + struct.pack("<I", 99), 1),
        gguf(text("k") + struct.pack("<IIQ", 9, 9, 1), 1),
        gguf((text("k") + struct.pack("<II", 4, 1)) * 2, 2),
        gguf(text("general.alignment") + struct.pack("<II", 4, 0), 1),
        gguf(text("general.alignment") + struct.pack("<II", 4, 48), 1),
        gguf(tensors=text("t") + struct.pack("<I", 1 << 31), tensor_count=1),
        gguf(tensors=text("t") + struct.pack("<I", 0), tensor_count=1),
        gguf(tensors=tensor("t", 1 << 40, 1 << 40), tensor_count=1),
        gguf(tensors=tensor("t", 4) * 2, tensor_count=2),
    ],
)  # fmt: skip
def test_a_hostile_or_broken_header_is_a_named_user_error(data: bytes):
    with pytest.raises(GgufError) as caught:
        parse_header(reader(data), len(data))
    assert isinstance(caught.value, UsageError)
    assert caught.value.code == "gguf"


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic_end_in_a_header_or_in_a_named_error(data: bytes):
    try:
        found = parse_header(reader(b"GGUF" + struct.pack("<I", 3) + data), 8 + len(data))
    except GgufError:
        return
    assert isinstance(found, GgufHeader)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_header_cut_anywhere_says_so(data: st.DataObject):
    head, _, _ = header(MODELS["bge-large"]())
    cut = data.draw(st.integers(8, len(head) - 1))
    with pytest.raises(GgufError, match=r"cut off|missing"):
        parse_header(reader(head[:cut]), cut)


def test_reading_an_endless_claim_asks_for_little():
    asked = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal asked
        asked += length
        return bytes(length)

    with pytest.raises(GgufError):
        parse_header(lambda o, n: gguf(count=20_000)[:24] + bytes(n) if o == 0 else read(o, n))
    assert asked < 4 << 20


def test_an_unknown_tensor_type_takes_the_room_up_to_the_next():
    table = tensor("a", 64, kind=137) + tensor("b", 64, kind=0, offset=96)
    found = parse_header(reader(gguf(tensors=table, tensor_count=2)), 4096)
    assert found.tensors[0].type == "type137"
    assert found.tensors[0].size_bytes == 96
    assert found.tensors[1].size_bytes == 256


def test_an_incomplete_file_is_truncated(tmp_path: Path):
    path = tmp_path / "half.gguf"
    write(MODELS["bge-large"](), path)
    assert parse_header(reader(start(path)), path.stat().st_size // 2).truncated


def shard(number: int, count: int, name: str) -> GgufHeader:
    values = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    values += text("split.no") + struct.pack("<IH", 2, number)
    values += text("split.count") + struct.pack("<IH", 2, count)
    data = gguf(values, 3, tensor(name, 32, 32, kind=8), 1)
    return parse_header(reader(data), len(data) + 2048)


def test_shards_are_joined_in_their_own_order():
    joined = merge_shards([shard(1, 2, "b"), shard(0, 2, "a")])
    assert [tensor.name for tensor in joined.tensors] == ["a", "b"]
    assert joined.tensor_bytes == 2 * 32 * 34
    assert joined.split_count == 2


def test_missing_or_overlapping_shards_are_refused():
    with pytest.raises(GgufError, match="1 of 3"):
        merge_shards([shard(0, 3, "a")])
    with pytest.raises(GgufError, match="two files"):
        merge_shards([shard(0, 2, "a"), shard(1, 2, "a")])


def test_every_type_has_whole_blocks():
    assert len(BY_ID) == len(BY_NAME) == 35
    for kind in BY_ID.values():
        assert tensor_bytes(kind, (kind.block * 3, 2)) == 6 * kind.size_bytes
    assert BY_NAME["Q4_K"].bits_per_value == 4.5
    assert BY_NAME["Q6_K"].bits_per_value == 6.5625
    assert BY_NAME["MXFP4"].bits_per_value == 4.25
    assert FILE_TYPES[15] == "Q4_K_M"
