"""Write a sparse GGUF: the header and tensor table of a real model shape, its data one hole.

    python -m scripts.sparse_gguf MODEL OUT.gguf
    python -m scripts.sparse_gguf --list

The file shows its full size and takes a few KiB of disk. llama.cpp refuses wrong names and shapes,
so that its dry run over such a file is a test of the shape as well as of the estimate.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from modelscan.formats.gguf_types import BY_NAME, GgmlType, tensor_bytes
from scripts.sparse_models import MODELS
from scripts.sparse_pieces import Sketch

ALIGNMENT = 32
Value: TypeAlias = "bool | int | float | str | list[int] | list[bool] | list[str]"
_FLOAT32 = ("_norm.", "ssm_conv1d", "ffn_gate_inp", "shortconv.conv", "altup", "laurel",
            "position_embd", "token_types", "time_mix_first", "ssm_a", "ssm_d", "ssm_norm",
            "per_layer_model_proj", "rope_f")  # fmt: skip


class Short(int):
    """A metadata number that llama.cpp wants as u16 (split.no, split.count)."""


class Signed(int):
    """A metadata number that llama.cpp wants as i32 (split.tensors.count)."""


def write(sketch: Sketch, path: Path, kind: str = "Q4_K") -> int:
    """Write the file and return the bytes of its tensors (without padding)."""
    head, size, padded = header(sketch, kind)
    start = -(-len(head) // ALIGNMENT) * ALIGNMENT
    with path.open("wb") as file:
        file.write(head)
    os.truncate(path, start + padded)
    return size


def header(sketch: Sketch, kind: str = "Q4_K") -> tuple[bytes, int, int]:
    """The header's bytes, the tensors' bytes, and those with padding."""
    infos, size, offset = [], 0, 0
    for name, shape in sketch.tensors:
        chosen = _type(name, shape, kind)
        infos.append(
            _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, chosen.id, offset)
        )
        size += tensor_bytes(chosen, shape)
        offset += -(-tensor_bytes(chosen, shape) // ALIGNMENT) * ALIGNMENT
    metadata = _metadata(sketch)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(metadata))
    head += b"".join(_text(key) + _typed(value) for key, value in metadata.items())
    return head + b"".join(infos), size, offset


def _metadata(sketch: Sketch) -> Mapping[str, Value]:
    own = {f"{sketch.arch}.{key}": value for key, value in sketch.keys.items()}
    return {
        "general.architecture": sketch.arch,
        "general.name": sketch.name,
        "general.alignment": ALIGNMENT,
        "tokenizer.ggml.model": "none",
        **{k.removeprefix(f"{sketch.arch}.") if _general(k, sketch.arch) else k: v
           for k, v in own.items()},
    }  # fmt: skip


def _general(key: str, arch: str) -> bool:
    """Keys that carry no architecture in front."""
    return key.removeprefix(f"{arch}.").startswith(("tokenizer.", "split."))


def _type(name: str, shape: tuple[int, ...], kind: str) -> GgmlType:
    """Matrices in ``kind`` (Q8_0 where rows do not divide), the rest in float32."""
    if len(shape) < 2 or not name.endswith(".weight") or any(m in name for m in _FLOAT32):
        return BY_NAME["F32"]
    for candidate in (kind, "Q8_0"):
        if shape[0] % BY_NAME[candidate].block == 0:
            return BY_NAME[candidate]
    return BY_NAME["F16"]


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    """A metadata value with its type in front."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, Short):
        return struct.pack("<IH", 2, value)
    if isinstance(value, Signed):
        return struct.pack("<Ii", 5, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if all(isinstance(item, bool) for item in value):
        return struct.pack(f"<IIQ{len(value)}?", 9, 7, len(value), *value)
    if all(isinstance(item, str) for item in value):
        data = b"".join(_text(str(item)) for item in value)
        return struct.pack("<IIQ", 9, 8, len(value)) + data
    return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        for name, build in MODELS.items():
            sketch = build()
            print(f"{name:24} {sketch.arch:16} {header(sketch)[1] / 2**30:9.2f} GiB")
        return 0
    size = write(MODELS[arguments[0]](), Path(arguments[1]))
    print(f"{arguments[1]}: {size / 2**30:.2f} GiB of tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
