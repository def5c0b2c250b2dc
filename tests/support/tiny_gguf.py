"""A tiny but valid llama-architecture GGUF with random weights: loads in milliseconds.

Written from the format's description, with nothing but ``struct``: tests need no numpy. The text
it generates is noise; where a test needs sense, it uses examples/demo-model.gguf.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_U16, _U32, _F32, _BOOL, _STRING, _ARRAY, _I32 = 2, 4, 6, 7, 8, 9, 5
_ALIGNMENT = 32
_UNKNOWN, _CONTROL, _BYTE, _NORMAL = 2, 3, 6, 1


@dataclass(frozen=True)
class Shape:
    """Sizes of the model; ``context`` is what it claims to be trained for."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 128
    context: int = 2048


def write_tiny_gguf(
    path: Path, *, seed: int = 1, name: str = "Tiny test", shape: Shape | None = None
) -> Path:
    """Write the file and return its path; the same seed gives the same bytes."""
    sizes = shape or Shape()
    tokens = _tokens()
    tensors = _tensors(sizes, len(tokens), random.Random(seed))
    path.write_bytes(_file(_metadata(name, sizes, tokens), tensors))
    return path


def split_gguf(count: int, *, seed: int = 1) -> list[bytes]:
    """The same model in parts, as llama.cpp's ``gguf-split`` makes them."""
    sizes, tokens = Shape(), _tokens()
    tensors = _tensors(sizes, len(tokens), random.Random(seed))
    size = -(-len(tensors) // count)
    parts = []
    for number in range(count):
        own = _metadata("Tiny test", sizes, tokens) if number == 0 else []
        split = [("split.no", _U16, number), ("split.count", _U16, count),
                 ("split.tensors.count", _I32, len(tensors))]  # fmt: skip
        parts.append(_file([*own, *split], tensors[number * size : (number + 1) * size]))
    return parts


def _file(metadata: list[Any], tensors: list[Any]) -> bytes:
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    header += b"".join(_pair(*item) for item in metadata)
    infos, data = b"", b""
    for tensor, dimensions, values in tensors:
        infos += _string(tensor) + struct.pack("<I", len(dimensions))
        infos += struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack("<IQ", 0, len(data))
        data += _padded(struct.pack(f"<{len(values)}f", *values))
    return _padded(header + infos) + data


def _tokens() -> list[tuple[str, float, int]]:
    special = [("<unk>", 0.0, _UNKNOWN), ("<s>", 0.0, _CONTROL), ("</s>", 0.0, _CONTROL)]
    letters = [(letter, -float(i), _NORMAL) for i, letter in enumerate("▁etaoinshr")]
    return [*special, *((f"<0x{byte:02X}>", 0.0, _BYTE) for byte in range(256)), *letters]


def _metadata(name: str, sizes: Shape, tokens: list[tuple[str, float, int]]) -> list[Any]:
    return [
        ("general.architecture", _STRING, "llama"),
        ("general.name", _STRING, name),
        ("general.file_type", _U32, 0),
        ("llama.context_length", _U32, sizes.context),
        ("llama.embedding_length", _U32, sizes.width),
        ("llama.block_count", _U32, sizes.layers),
        ("llama.feed_forward_length", _U32, sizes.hidden),
        ("llama.attention.head_count", _U32, sizes.heads),
        ("llama.attention.head_count_kv", _U32, sizes.kv_heads),
        ("llama.rope.dimension_count", _U32, sizes.width // sizes.heads),
        ("llama.attention.layer_norm_rms_epsilon", _F32, 1e-5),
        ("llama.vocab_size", _U32, len(tokens)),
        ("tokenizer.ggml.model", _STRING, "llama"),
        ("tokenizer.ggml.tokens", (_ARRAY, _STRING), [token for token, _, _ in tokens]),
        ("tokenizer.ggml.scores", (_ARRAY, _F32), [score for _, score, _ in tokens]),
        ("tokenizer.ggml.token_type", (_ARRAY, _I32), [kind for _, _, kind in tokens]),
        ("tokenizer.ggml.bos_token_id", _U32, 1),
        ("tokenizer.ggml.eos_token_id", _U32, 2),
        ("tokenizer.ggml.unknown_token_id", _U32, 0),
        ("tokenizer.ggml.add_bos_token", _BOOL, True),
    ]


def _tensors(sizes: Shape, vocabulary: int, rng: random.Random) -> list[Any]:
    width, hidden = sizes.width, sizes.hidden
    kv_width = width // sizes.heads * sizes.kv_heads

    def matrix(tensor: str, columns: int, rows: int) -> tuple[str, list[int], list[float]]:
        scale = columns**-0.5
        return tensor, [columns, rows], [rng.gauss(0, scale) for _ in range(columns * rows)]

    def ones(tensor: str) -> tuple[str, list[int], list[float]]:
        return tensor, [width], [1.0] * width

    found = [matrix("token_embd.weight", width, vocabulary), ones("output_norm.weight")]
    for layer in range(sizes.layers):
        block = f"blk.{layer}."
        found += [
            ones(block + "attn_norm.weight"),
            matrix(block + "attn_q.weight", width, width),
            matrix(block + "attn_k.weight", width, kv_width),
            matrix(block + "attn_v.weight", width, kv_width),
            matrix(block + "attn_output.weight", width, width),
            ones(block + "ffn_norm.weight"),
            matrix(block + "ffn_gate.weight", width, hidden),
            matrix(block + "ffn_up.weight", width, hidden),
            matrix(block + "ffn_down.weight", hidden, width),
        ]
    return found


def _pair(key: str, kind: Any, value: Any) -> bytes:
    if isinstance(kind, tuple):
        body = struct.pack("<IIQ", kind[0], kind[1], len(value))
        return _string(key) + body + b"".join(_value(kind[1], item) for item in value)
    return _string(key) + struct.pack("<I", kind) + _value(kind, value)


def _value(kind: int, value: Any) -> bytes:
    if kind == _STRING:
        return _string(value)
    formats = {_U16: "<H", _U32: "<I", _F32: "<f", _BOOL: "<?", _I32: "<i"}
    return struct.pack(formats[kind], value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
