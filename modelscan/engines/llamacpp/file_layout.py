"""The tensors of a GGUF file as llama.cpp's estimate needs them: bytes and shapes by block."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from modelscan.core.architecture import ModelShape
from modelscan.engines.llamacpp.graph import Block
from modelscan.memory import weights_gguf
from modelscan.memory.architecture.from_gguf import block_tensors


@dataclass(frozen=True, slots=True, eq=False)
class FileLayout:
    """The parts of a file's tensors that the estimate needs, by block; compared by identity."""

    shape: ModelShape
    kinds: list[Block]  # one of each sort: most models have one or two
    embedding_bytes: int
    input_bytes: int
    output_bytes: int
    layer_bytes: tuple[int, ...]
    expert_bytes: tuple[int, ...]
    largest_expert_bytes: tuple[int, ...]  # of one matrix, by block

    @classmethod
    def of(cls, shape: ModelShape) -> FileLayout:
        """The layout of a GGUF file's tensors, read from ``shape.tensors``."""
        layers = shape.architecture.layers
        tables = block_tensors(shape.tensors, len(layers))
        blocks = [Block(layer, table) for layer, table in zip(layers, tables, strict=True)]
        per_layer = [sum(t.size_bytes for t in table.values()) for table in tables]
        experts = [
            [t.size_bytes for t in table.values() if weights_gguf.is_expert(t.name)]
            for table in tables
        ]
        inputs = sum(t.size_bytes for t in shape.tensors if _is_input(t.name))
        return cls(
            shape,
            kinds=list({_sort(block): block for block in reversed(blocks)}.values()),
            embedding_bytes=shape.weights.embedding_bytes or 0,
            input_bytes=inputs,
            output_bytes=shape.weights.total_bytes - sum(per_layer) - inputs,
            layer_bytes=tuple(per_layer),
            expert_bytes=tuple(map(sum, experts)),
            largest_expert_bytes=tuple(max(sizes, default=0) for sizes in experts),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ShapeKey:
    """A shape by identity: hashing its hundreds of tensors would take longer than an estimate.

    The cache keeps the shape alive, so its identity is not used again.
    """

    shape: ModelShape

    def __hash__(self) -> int:
        return id(self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeKey) and other.shape is self.shape


def file_layout(shape: ModelShape) -> FileLayout:
    """Computed once per shape object: a planner estimates the same one many times."""
    return _of(ShapeKey(shape))


@functools.lru_cache(maxsize=32)
def _of(key: ShapeKey) -> FileLayout:
    return FileLayout.of(key.shape)


def _sort(block: Block) -> tuple[object, ...]:
    """A key that is equal for blocks needing the same memory during computation."""
    shapes = tuple((name, tensor.shape) for name, tensor in block.tensors.items())
    return (block.layer, shapes)


def _is_input(name: str) -> bool:
    return name.startswith(weights_gguf.INPUT_TENSORS)
