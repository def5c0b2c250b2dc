"""PEFT adapters written by hand: a config, and a safetensors file with the right shapes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Shapes = Mapping[str, Sequence[int]]


def write_safetensors(file: Path, shapes: Shapes) -> Path:
    """A file of zeros in 32 bits."""
    header: dict[str, Any] = {}
    offset = 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {
            "dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size],
        }  # fmt: skip
        offset += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))
    return file


def lora(module: str, rank: int, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """The two halves of a module."""
    name = f"base_model.model.model.{module}"
    return {f"{name}.lora_A.weight": (rank, inputs), f"{name}.lora_B.weight": (outputs, rank)}


def write_peft(
    folder: Path, shapes: Shapes | None = None, *, rank: int = 8, hidden: int = 128,
    outputs: int = 128, **config: Any,
) -> Path:  # fmt: skip
    """An adapter of ``tiny_hf``'s query projection; ``config`` replaces fields of its config."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = shapes or lora("layers.0.self_attn.q_proj", rank, hidden, outputs)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    values = {
        "peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": ["q_proj"],
        "base_model_name_or_path": None, "bias": "none", **config,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(values))
    return folder
