"""Options that a repository's own files ask for: what vLLM does not find out by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelscan.engines.command_line import Option
from modelscan.engines.versions import Version

_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what --max-lora-rank accepts; default 16
_DEFAULT_RANK = 16
_RERANKER_SINCE = (0, 9, 2)
# The published Qwen3 rerankers are language models that say yes or no (vLLM's list of supported
# models gives these overrides).
_QWEN3_RERANKER = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "classifier_from_token": ["no", "yes"],
    "is_original_qwen3_reranker": True,
}


def options(folder: Path, task: str, adapters: Sequence[str], version: Version) -> Iterator[Option]:
    """What the folder's files ask for; nothing for one that is not there (a preview)."""
    if (folder / "tekken.json").is_file() and not (folder / "tokenizer.json").is_file():
        yield "tokenizer-mode", "mistral"
    classes = _object(folder / "config.json").get("architectures") or ()
    if task == "rerank" and version >= _RERANKER_SINCE and "Qwen3ForCausalLM" in classes:
        yield "hf-overrides", json.dumps(_QWEN3_RERANKER, separators=(",", ":"))
    rank = max((_rank(adapter) for adapter in adapters), default=0)
    if rank > _DEFAULT_RANK:
        yield "max-lora-rank", str(min(size for size in _LORA_RANKS if size >= rank))


def _rank(adapter: str) -> int:
    value = _object(Path(adapter.partition("=")[2] or adapter) / "adapter_config.json").get("r")
    return value if isinstance(value, int) and value <= _LORA_RANKS[-1] else 0


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
