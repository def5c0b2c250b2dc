"""A model's shape, normalised from config.json, a GGUF header or safetensors headers.

It contains everything an estimate needs. Element counts are numbers of values, not bytes.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelscan.core.adapter import Adapter
from modelscan.core.checkpoint import Checkpoint

# Marks a bundled config that is not the model's own file: its sizes are known, but not which of
# its layers have a window.
PARTIAL = "modelscan_partial"
# In ``extra`` of a guessed architecture: bytes of cache per token, if every layer had a full one.
FULL_CACHE = "full_cache_bytes_per_token"


class Attention(str, enum.Enum):
    """What a layer caches per token."""

    FULL = "full"  # one cell per token, whole context
    SLIDING = "sliding"  # stops growing at the window
    CHUNKED = "chunked"  # window restarts at chunk borders
    MLA = "mla"  # compressed latent: kv_lora_rank + rope per token
    LINEAR = "linear"  # gated delta net and similar: a state per sequence
    SSM = "ssm"  # Mamba: a state per sequence
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """A per-sequence state, independent of context length.

    ``inner`` = values of the recurrent stream, ``groups`` x ``state`` = the B/C (or key) part that
    goes through the convolution as well: values per sequence =
    (conv_kernel - 1) x (inner + 2 x groups x state) + inner x state.
    """

    conv_kernel: int
    inner: int
    state: int
    groups: int
    heads: int | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One block. Head counts and sizes are this layer's own; ``window_tokens`` for sliding/chunked.

    ``owns_cache`` is False where a layer reads another layer's KV cache (shared KV layers).
    """

    attention: Attention
    heads: int = 0
    kv_heads: int = 0
    key_length: int = 0
    value_length: int = 0
    window_tokens: int | None = None
    owns_cache: bool = True
    state: RecurrentState | None = None  # in parallel with attention in falcon-h1
    feed_forward: int = 0  # dense width; 0 where the block is experts only
    moe: bool = False
    borrows_index: bool = (
        False  # sparse attention at positions that an earlier layer's indexer chose
    )

    def __hash__(self) -> int:
        """Hashes the fields that differ between layers of one model; an estimate counts layers
        often.
        """
        return hash((self.kv_heads, self.key_length, self.window_tokens, self.feed_forward,
                     self.heads, self.moe, self.owns_cache, self.borrows_index))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts. ``shared`` experts run for every token with width ``shared_width``."""

    total: int
    active: int
    width: int
    shared: int = 0
    shared_width: int = 0
    gated: bool = True


@dataclass(frozen=True, slots=True)
class Latent:
    """MLA ranks: the cache contains ``kv_lora_rank + rope_length`` values per token and layer."""

    kv_lora_rank: int
    rope_length: int
    q_lora_rank: int | None = None
    nope_length: int | None = None
    value_length: int | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """The normalised shape. ``known`` is False if layer kinds are guessed (basis ``range``)."""

    name: str  # GGUF general.architecture or HF model_type
    layers: tuple[Layer, ...]
    hidden: int
    vocabulary: int
    context_tokens: int | None  # trained context
    experts: Experts | None = None
    latent: Latent | None = None
    tied_embeddings: bool = False
    gated_feed_forward: bool = True
    embedding_model: bool = False
    encoder_only: bool = False
    vision: bool = False
    vision_heads: int | None = None
    mtp_layers: int = 0  # multi-token-prediction blocks in addition to ``layers``
    dtype: str | None = None  # config's torch_dtype
    quantization: str | None = None  # config's quantization_config method, normalised
    known: bool = True
    notes: tuple[str, ...] = ()
    extra: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    layer_counts: tuple[tuple[Layer, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Replaces equal layers by one object and counts them in order of first appearance."""
        counts = Counter(self.layers)
        one = {layer: layer for layer in counts}
        object.__setattr__(self, "layers", tuple(one[layer] for layer in self.layers))
        object.__setattr__(self, "layer_counts", tuple(counts.items()))


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file: ``type`` is the GGUF type or safetensors dtype name."""

    name: str
    shape: tuple[int, ...]
    type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes of weights. ``basis``: exact (headers/file sizes) | computed (parameters x format)."""

    total_bytes: int
    basis: str
    parameters: int | None = None
    active_parameters: int | None = None
    embedding_bytes: int | None = None  # token embedding: stays on the host in llama.cpp
    output_bytes: int | None = None  # separate output head; None/0 when tied
    expert_bytes: int | None = None  # routed experts, all layers
    layer_bytes: tuple[int, ...] = ()  # per block, when known
    vision_bytes: int = 0
    low_bytes: int | None = None  # range when ``basis`` is "range"
    high_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The estimator's input: the shape and the bytes of one variant.

    ``tensors`` is filled for GGUF (llama.cpp's compute buffer depends on tensor shapes), else
    empty. ``draft`` is the model of a separate file that drafts for this one, ``adapter_bytes`` the
    size of the adapter files that are loaded with it, ``adapters`` what they contain.
    """

    architecture: Architecture
    weights: Weights
    format: str  # gguf | safetensors
    quantization: str | None
    tensors: tuple[Tensor, ...] = ()
    path: str | None = None  # the local file or folder, if there is one
    draft: ModelShape | None = None
    adapter_bytes: int = 0
    adapters: tuple[Adapter, ...] = ()
