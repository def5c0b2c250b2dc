"""A minimal llama-architecture transformer, named and shaped the way GGUF stores it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model. Matrix rows must be multiples of 32 for q8_0."""

    vocabulary: int
    embedding: int = 192
    blocks: int = 3
    heads: int = 3
    kv_heads: int = 1
    head: int = 64
    feed_forward: int = 384
    context_tokens: int = 1024
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5


def rope_angles(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (context_tokens, head / 2)."""
    frequency = shape.rope_base ** (-torch.arange(0, shape.head, 2).float() / shape.head)
    angles = torch.outer(torch.arange(shape.context_tokens).float(), frequency)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate neighbouring pairs: llama.cpp's NORM rope, so no weight needs permuting on export."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.kv_heads * shape.head
        self.attn_q = nn.Linear(shape.embedding, shape.heads * shape.head, bias=False)
        self.attn_k = nn.Linear(shape.embedding, kv, bias=False)
        self.attn_v = nn.Linear(shape.embedding, kv, bias=False)
        self.attn_output = nn.Linear(shape.heads * shape.head, shape.embedding, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape

        def split(projected: Tensor) -> Tensor:
            return projected.view(batch, length, -1, self.shape.head).transpose(1, 2)

        q = rotate(split(self.attn_q(x)), cos, sin)
        k = rotate(split(self.attn_k(x)), cos, sin)
        groups = self.shape.heads // self.shape.kv_heads
        k, v = (t.repeat_interleave(groups, dim=1) for t in (k, split(self.attn_v(x))))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        output: Tensor = self.attn_output(mixed.transpose(1, 2).reshape(batch, length, -1))
        return output


class Block(nn.Module):
    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(shape.embedding, eps=shape.norm_epsilon)
        self.attention = Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.embedding, eps=shape.norm_epsilon)
        self.ffn_gate = nn.Linear(shape.embedding, shape.feed_forward, bias=False)
        self.ffn_up = nn.Linear(shape.embedding, shape.feed_forward, bias=False)
        self.ffn_down = nn.Linear(shape.feed_forward, shape.embedding, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attn_norm(x), cos, sin))
        y = self.ffn_norm(x)
        mixed: Tensor = self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))
        out: Tensor = x + self.dropout(mixed)
        return out


class Llama(nn.Module):
    """The embedding is also the output matrix, which halves the vocabulary's share of the file."""

    def __init__(self, shape: Shape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.embedding)
        self.blk = nn.ModuleList(Block(shape, dropout) for _ in range(shape.blocks))
        self.output_norm = nn.RMSNorm(shape.embedding, eps=shape.norm_epsilon)
        self.cos: Tensor
        self.sin: Tensor
        cos, sin = rope_angles(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.apply(self._initialize)

    def _initialize(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02 if isinstance(module, nn.Embedding) else 0.04)

    def forward(self, tokens: Tensor) -> Tensor:
        """Hidden states (batch, length, embedding); logits() turns chosen ones into scores."""
        length = tokens.shape[1]
        x: Tensor = self.dropout(self.token_embd(tokens))
        for block in self.blk:
            x = block(x, self.cos[:length], self.sin[:length])
        normed: Tensor = self.output_norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        scores: Tensor = hidden @ self.token_embd.weight.T
        return scores

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())
