"""What SGLang requires of LoRA adapters.

Code: srt/lora/lora_config.py, lora.py (``scaling = lora_alpha / r``) and lora_manager.py of 0.4.9
to 0.5.23. It takes the largest rank of the adapters that it starts with as ``--max-lora-rank``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modelscan.core.adapter import AdapterCheck
from modelscan.engines.adapter_rules import check, format_check, peft_checks
from modelscan.engines.sglang.versions import DEFAULT_VERSION
from modelscan.engines.versions import Version, parse_version

if TYPE_CHECKING:
    from modelscan.core.adapter import Adapter
    from modelscan.engines.option_names import OptionPair

_TITLE = "SGLang"
_VOCABULARY_SINCE: Version = (0, 5, 7)
_VOCABULARY = ("embed_tokens", "lm_head")
_DEFAULT_SLOT = 16  # of the estimate, where no rank is known


def adapter_checks(adapter: Adapter, version: str | None) -> Iterator[AdapterCheck]:
    """What the loader refuses, and what it would ignore."""
    version = version or DEFAULT_VERSION
    yield format_check(adapter, "peft", _TITLE)
    if adapter.format != "peft":
        return
    yield AdapterCheck("rank", "ok", f"{_TITLE} takes any rank; this one has {adapter.max_rank}")
    yield from peft_checks(adapter, _TITLE, rslora=False)
    named = [name for name in _VOCABULARY if name in adapter.target_modules]
    if named:
        known = parse_version(version) >= _VOCABULARY_SINCE
        yield check(
            "target_modules", known, f"{_TITLE} {version} does not adapt {' or '.join(named)}",
            f"it adapts {' and '.join(named)}",
        )  # fmt: skip


def adapter_options(adapters: Iterable[Adapter]) -> Iterator[OptionPair]:
    """``--max-lora-rank`` as SGLang would find it itself, so that the estimate counts it."""
    ranks = [one.max_rank for one in adapters if one.max_rank]
    if ranks and max(ranks) != _DEFAULT_SLOT:
        yield "max-lora-rank", str(max(ranks))
