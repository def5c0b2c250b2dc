"""What the fake hub serves: repositories, files (also huge ones that exist only as a rule)."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LFS_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx")
LFS_SIZE = 10_000_000
_HASHED_LIMIT = 64 << 20


@dataclass(frozen=True)
class File:
    """``size`` bytes: ``head``, then zeros. Small files are all head."""

    head: bytes
    size: int
    lfs: bool | None = None

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end)."""
        end = min(end, self.size)
        known = self.head[start:end]
        return known + bytes(max(0, end - start - len(known)))

    @property
    def sha256(self) -> str:
        """The real hash; for files too large to hash in a test, one of their head and size."""
        if self.size <= _HASHED_LIMIT:
            return hashlib.sha256(self.read(0, self.size)).hexdigest()
        return hashlib.sha256(self.head + str(self.size).encode()).hexdigest()

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % self.size + self.head).hexdigest()


@dataclass
class Repo:
    """One repository. ``files`` is the newest commit; older ones stay under ``commits``."""

    id: str
    files: dict[str, File]
    gated: str | bool = False
    private: bool = False
    card: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    pipeline_tag: str | None = "text-generation"
    library_name: str | None = "transformers"
    downloads: int = 1000
    likes: int = 10
    created_at: str = "2025-04-27T03:40:00.000Z"
    last_modified: str = "2025-07-26T03:46:00.000Z"
    config: dict[str, Any] | None = None
    safetensors: dict[str, int] | None = None
    gguf: dict[str, Any] | None = None
    spaces: list[str] = field(default_factory=list)
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit()

    def commit(self) -> str:
        """Record ``files`` as the newest commit of main; its hash follows from the contents."""
        text = json.dumps({path: file.sha256 for path, file in sorted(self.files.items())})
        sha = hashlib.sha1(f"{self.id}{text}".encode()).hexdigest()
        self.commits[sha] = dict(self.files)
        self.branches["main"] = self.branches["master"] = sha
        return sha

    def put(self, path: str, content: bytes | File) -> str:
        """Add or replace a file: a new commit."""
        self.files[path] = as_file(content)
        return self.commit()

    @property
    def sha(self) -> str:
        return self.branches["main"]

    def at(self, revision: str) -> tuple[str, dict[str, File]] | None:
        """(commit, files) of a branch, a commit or the start of one."""
        sha = self.branches.get(revision, revision)
        found = next((c for c in self.commits if c == sha or c.startswith(sha)), None)
        return (found, self.commits[found]) if found and sha else None

    def is_lfs(self, path: str) -> bool:
        return is_lfs(path, self.files.get(path))


def is_lfs(path: str, file: File | None) -> bool:
    if file is None:
        return False
    if file.lfs is not None:
        return file.lfs
    return path.endswith(LFS_SUFFIXES) or file.size > LFS_SIZE


def as_file(content: bytes | File) -> File:
    return content if isinstance(content, File) else File(content, len(content))


_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I8": 1, "U8": 1, "I64": 8, "I32": 4}


def safetensors(
    tensors: Mapping[str, tuple[str, Sequence[int]]], metadata: Mapping[str, str] | None = None
) -> File:
    """A safetensors file of zeros with these tensors: name -> (dtype, shape)."""
    header: dict[str, Any] = {"__metadata__": dict(metadata or {"format": "pt"})}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = _DTYPE_BYTES[dtype]
        for length in shape:
            size *= length
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return File(struct.pack("<Q", len(text)) + text, 8 + len(text) + offset)


_GGUF_TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34)}


def gguf(
    metadata: Mapping[str, Any], tensors: Mapping[str, tuple[str, Sequence[int]]], align: int = 32
) -> File:
    """A GGUF (version 3, little endian) of zeros with this metadata and these tensors."""
    out = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        out += _gguf_string(key) + _gguf_value(value)
    offset = 0
    for name, (kind, shape) in tensors.items():
        number, block, block_bytes = _GGUF_TYPES[kind]
        count = 1
        for length in shape:
            count *= length
        out += _gguf_string(name) + struct.pack("<I", len(shape))
        out += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", number, offset)
        offset += -(-(count // block * block_bytes) // align) * align
    out += bytes(-len(out) % align)
    return File(bytes(out), len(out) + offset)


def _gguf_string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _gguf_value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _gguf_string(value)
    items = list(value)
    body = b"".join(_gguf_value(item)[4:] for item in items)
    kind = _gguf_value(items[0])[:4] if items else struct.pack("<I", 8)
    return struct.pack("<I", 9) + kind + struct.pack("<Q", len(items)) + body


def llama_config(hidden: int = 64, layers: int = 2, vocabulary: int = 256) -> dict[str, Any]:
    """A small config.json in the shape transformers writes for Llama models."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
        "intermediate_size": hidden * 3, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": hidden // 4, "vocab_size": vocabulary,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip


def llama_tensors(
    hidden: int = 64, layers: int = 2, vocabulary: int = 256, dtype: str = "BF16"
) -> dict[str, tuple[str, Sequence[int]]]:
    """The tensors of that model, by transformers' names."""
    kv, wide = hidden // 2, hidden * 3
    made: dict[str, tuple[str, Sequence[int]]] = {
        "model.embed_tokens.weight": (dtype, (vocabulary, hidden)),
        "lm_head.weight": (dtype, (vocabulary, hidden)),
        "model.norm.weight": (dtype, (hidden,)),
    }
    for i in range(layers):
        at = f"model.layers.{i}"
        made[f"{at}.input_layernorm.weight"] = (dtype, (hidden,))
        made[f"{at}.post_attention_layernorm.weight"] = (dtype, (hidden,))
        made[f"{at}.self_attn.q_proj.weight"] = (dtype, (hidden, hidden))
        made[f"{at}.self_attn.k_proj.weight"] = (dtype, (kv, hidden))
        made[f"{at}.self_attn.v_proj.weight"] = (dtype, (kv, hidden))
        made[f"{at}.self_attn.o_proj.weight"] = (dtype, (hidden, hidden))
        made[f"{at}.mlp.gate_proj.weight"] = (dtype, (wide, hidden))
        made[f"{at}.mlp.up_proj.weight"] = (dtype, (wide, hidden))
        made[f"{at}.mlp.down_proj.weight"] = (dtype, (hidden, wide))
    return made


def parameters(tensors: Mapping[str, tuple[str, Sequence[int]]]) -> dict[str, int]:
    """dtype -> number of parameters, as the hub counts them."""
    counts: dict[str, int] = {}
    for dtype, shape in tensors.values():
        count = 1
        for length in shape:
            count *= length
        counts[dtype] = counts.get(dtype, 0) + count
    return counts
