"""What vLLM requires of LoRA adapters, by version.

Code: vllm/config/lora.py (``MaxLoRARanks``) and vllm/lora/peft_helper.py of 0.7.0 to 0.32.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modelscan.core.adapter import AdapterCheck
from modelscan.engines.adapter_rules import check, format_check, peft_checks, rank_slot
from modelscan.engines.version_tables import facts_of
from modelscan.engines.versions import Version, parse_version
from modelscan.engines.vllm import NAME
from modelscan.engines.vllm.versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from modelscan.core.adapter import Adapter
    from modelscan.engines.option_names import OptionPair

DEFAULT_RANK = 16
_RANKS = (8, 16, 32, 64, 128, 256)  # of --max-lora-rank
_LARGE_SINCE: Version = (0, 8, 0)  # 320 and 512
_ONE_SINCE: Version = (0, 11, 1)  # 1; and without --enable-lora-bias
_TRAINED_TOKENS = "max-lora-trainable-tokens"
_TITLE = "vLLM"


def lora_ranks(version: Version) -> tuple[int, ...]:
    """The values that ``--max-lora-rank`` of a version accepts."""
    large = (320, 512) if version >= _LARGE_SINCE else ()
    return (*((1,) if version >= _ONE_SINCE else ()), *_RANKS, *large)


def adapter_checks(adapter: Adapter, version: str | None) -> Iterator[AdapterCheck]:
    """What the loader of that version refuses, in its words."""
    version = version or DEFAULT_VERSION
    number = parse_version(version)
    yield format_check(adapter, "peft", _TITLE)
    if adapter.format != "peft":
        return
    yield _rank(adapter, number, version)
    yield from peft_checks(adapter, _TITLE, bias=number < _ONE_SINCE)
    if adapter.trainable_tokens:
        yield check(
            "tokens", _has_tokens(version), f"{_TITLE} {version} has no --{_TRAINED_TOKENS}",
            f"{adapter.trainable_tokens} trained tokens",
        )  # fmt: skip


def _rank(adapter: Adapter, number: Version, version: str) -> AdapterCheck:
    rank, accepted = adapter.max_rank or 0, lora_ranks(number)
    name = f"--max-lora-rank of {_TITLE} {version}"
    if rank > accepted[-1]:
        reason = f"rank {rank} is larger than {accepted[-1]}, the largest {name}"
        return AdapterCheck("rank", "fails", reason)
    slot = rank_slot((rank,), accepted)
    return AdapterCheck("rank", "ok", f"rank {rank} needs {slot} as {name}")


def adapter_options(adapters: Iterable[Adapter], version: str | None) -> Iterator[OptionPair]:
    """``--max-lora-rank`` above its default of 16, and what trained tokens and biases need."""
    number, all_of_them = parse_version(version or DEFAULT_VERSION), tuple(adapters)
    slot = rank_slot((one.max_rank or 0 for one in all_of_them), lora_ranks(number))
    if slot is not None and slot > DEFAULT_RANK:
        yield "max-lora-rank", str(slot)
    if any(one.bias != "none" for one in all_of_them) and number < _ONE_SINCE:
        yield "enable-lora-bias", None
    tokens = max((one.trainable_tokens for one in all_of_them), default=0)
    if tokens and _has_tokens(version):
        yield _TRAINED_TOKENS, str(tokens)


def _has_tokens(version: str | None) -> bool:
    return facts_of(NAME, version or DEFAULT_VERSION).has("flag", _TRAINED_TOKENS)
