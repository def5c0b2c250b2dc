"""What SGLang requires of LoRA adapters.

Code: srt/lora/lora_config.py, lora.py (``scaling = lora_alpha / r``) and lora_manager.py of 0.4.9
to 0.5.23. It takes the largest rank of the adapters that it starts with as ``--max-lora-rank``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modelscan.core.adapter import AdapterCheck
from modelscan.engines.adapter_rules import format_check, peft_checks
from modelscan.engines.sglang import NAME
from modelscan.engines.sglang.versions import DEFAULT_VERSION
from modelscan.engines.version_tables import facts_of

if TYPE_CHECKING:
    from modelscan.core.adapter import LoraAdapter
    from modelscan.engines.option_names import OptionPair

_TITLE = "SGLang"
_VOCABULARY = ("embed_tokens", "lm_head")
# Names that the loader maps to listed ones (srt/lora/utils.py, get_normalized_target_modules).
_ALIASES = {
    "vocab_emb": "embed_tokens", "embeddings": "embed_tokens", "word_embeddings": "embed_tokens",
    "output": "lm_head", "unembed_tokens": "lm_head",
}  # fmt: skip
_DEFAULT_SLOT = 16  # of the estimate, where no rank is known


def adapter_checks(adapter: LoraAdapter, version: str | None) -> Iterator[AdapterCheck]:
    """What the loader refuses, and what it would ignore."""
    version = version or DEFAULT_VERSION
    yield format_check(adapter, "peft", _TITLE)
    if adapter.format != "peft":
        return
    yield AdapterCheck("rank", "ok", f"{_TITLE} takes any rank; this one has {adapter.max_rank}")
    yield from peft_checks(adapter, _TITLE, rslora=False)
    listed = facts_of(NAME, version).rows("lora_target")
    patterns = any(not name.replace(".", "").isidentifier() for name in adapter.target_modules)
    if listed and not patterns:  # no list before 0.4.9; PEFT also takes "all-linear" and patterns
        yield from _modules(adapter, frozenset(listed), version)


def _modules(adapter: LoraAdapter, listed: frozenset[str], version: str) -> Iterator[AdapterCheck]:
    """The modules that this version lists; others work only in classes that tell their sizes."""
    plain = [name.rpartition(".")[2] for name in adapter.target_modules]
    missing = [name for name in plain if _ALIASES.get(name, name) not in listed]
    refused = [name for name in missing if _ALIASES.get(name, name) in _VOCABULARY]
    if refused:
        reason = f"{_TITLE} {version} does not adapt {' or '.join(refused)}"
        yield AdapterCheck("target_modules", "fails", reason)
    elif missing:
        names = ", ".join(sorted(set(missing))[:6])
        reason = f"{_TITLE} {version} does not list {names}: some classes adapt them all the same"
        yield AdapterCheck("target_modules", "unknown", reason)
    else:
        reason = f"{_TITLE} {version} adapts {', '.join(plain[:8])}"
        yield AdapterCheck("target_modules", "ok", reason)


def adapter_options(adapters: Iterable[LoraAdapter]) -> Iterator[OptionPair]:
    """``--max-lora-rank`` as SGLang would find it itself, so that the estimate counts it."""
    ranks = [one.max_rank for one in adapters if one.max_rank]
    if ranks and max(ranks) != _DEFAULT_SLOT:
        yield "max-lora-rank", str(max(ranks))
