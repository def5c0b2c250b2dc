"""The facts that determine the live tensors of llama.cpp's graph: version constants, tensors by
block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelscan.core.architecture import Layer, Tensor


@dataclass(frozen=True, slots=True)
class Graph:
    """Constants of one version's graph. ``residual``: hidden-wide tensors alive during the widest
    operation; ``waiting_queries``: and the queries, where they are not part of a larger matrix or
    rotated; ``all_rows``: n_ubatch rows of logits are reserved for chat as well,
    ``logits_residual`` hidden-wide tensors with them and, unlike later, in the room of the
    inputs; ``copied_masks``: a mask is made in float32 and copied to float16.
    """

    residual: int = 5
    waiting_queries: bool = False
    all_rows: bool = False
    logits_residual: int = 5
    embedding_residual: int = 5
    copied_masks: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """The facts of one block's tensors that determine its live set, per token in float32 values."""

    layer: Layer
    tensors: Mapping[str, Tensor]

    def has(self, name: str) -> bool:
        """Whether the block contains a tensor of this name, with or without ``.weight``."""
        return f"{name}.weight" in self.tensors or name in self.tensors

    @property
    def parallel(self) -> bool:
        """Whether attention and feed-forward run in parallel, with one norm for both."""
        later = ("ffn_norm", "post_attention_norm", "attn_output_norm")
        feeds = self.has("ffn_down") or self.has("ffn_down_exps")
        return feeds and self.has("attn_norm") and not any(self.has(name) for name in later)

    @property
    def two_feeds(self) -> bool:
        """A dense feed-forward next to the experts, each with norms of its own (Gemma 4)."""
        return self.has("ffn_down") and self.has("ffn_down_exps")

    def rows(self, name: str) -> int:
        """Output width of a matrix (0 when absent)."""
        tensor = self.tensors.get(f"{name}.weight")
        return tensor.shape[1] if tensor and len(tensor.shape) > 1 else 0

    def width(self, name: str) -> int:
        """Input width of a matrix (0 when absent)."""
        tensor = self.tensors.get(f"{name}.weight")
        return tensor.shape[0] if tensor and tensor.shape else 0
