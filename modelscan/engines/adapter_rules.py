"""What several engines check of a LoRA adapter, and an engine's answer as a Support. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modelscan.core.adapter import AdapterCheck, failures
from modelscan.engines.support_rules import Support, absent
from modelscan.memory.adapter_fit import base_checks

if TYPE_CHECKING:
    from modelscan.core.adapter import Adapter, AdapterFormat
    from modelscan.core.architecture import ModelShape
    from modelscan.engines.engine import Engine

CONVERT = "convert it with llama.cpp's convert_lora_to_gguf.py"


def adapter_checks(
    one: Engine, adapter: Adapter, shape: ModelShape | None, version: str | None
) -> tuple[AdapterCheck, ...]:
    """Every check of an adapter on a version of an engine; ``shape`` None: of no base.

    A file that cannot be read or that contradicts itself fails first, and alone.
    """
    broken = tuple(AdapterCheck(fault.name, "fails", fault.reason) for fault in adapter.faults)
    if broken:
        return broken
    checks = [AdapterCheck("files", "ok", _summary(adapter))]
    checks += [adapter.base_match] if adapter.base_match is not None else []
    if shape is not None:
        checks += base_checks(adapter, shape)
    return (*checks, *one.adapter_checks(adapter, version))


def adapters_refusal(one: Engine, shape: ModelShape, version: str | None) -> Support | None:
    """The first failed check of the adapters that are loaded with a model; None if none fails."""
    for adapter in shape.adapters:
        failed = failures(adapter_checks(one, adapter, shape, version))
        if failed:
            return absent(f"the adapter {adapter.path}: {failed[0].reason}")
    return None


def _summary(adapter: Adapter) -> str:
    rank = f"rank {adapter.max_rank}" if adapter.max_rank else "no rank"
    modules = ", ".join(adapter.target_modules[:8])
    return f"{len(adapter.modules)} matrices, {rank}: {modules}"


def format_check(adapter: Adapter, wanted: AdapterFormat, title: str) -> AdapterCheck:
    """Whether the engine loads the format of the files."""
    if adapter.format == wanted:
        return AdapterCheck("format", "ok", f"{title} loads {wanted.upper()} adapters")
    if wanted == "gguf":
        reason = f"{title} loads adapters in GGUF files only: {CONVERT}"
    else:
        reason = f"{title} loads adapters of PEFT: a folder with adapter_config.json"
    return AdapterCheck("format", "fails", reason)


def peft_checks(
    adapter: Adapter, title: str, *, bias: bool = False, rslora: bool = True
) -> Iterator[AdapterCheck]:
    """What vLLM and SGLang read of a PEFT config alike; ``bias``, ``rslora``: whether they apply
    them.
    """
    if adapter.method != "LORA":
        yield AdapterCheck("method", "fails", f"{title} loads LoRA only, this is {adapter.method}")
    yield check("dora", not adapter.dora, f"{title} does not apply DoRA", "no DoRA")
    saved = ", ".join(adapter.modules_to_save)
    yield check(
        "modules_to_save", not saved, f"{title} does not load whole modules: {saved}",
        "no whole modules",
    )  # fmt: skip
    yield check(
        "bias", adapter.bias == "none" or bias, f"{title} does not apply biases: {adapter.bias}",
        "no biases",
    )  # fmt: skip
    if adapter.rslora and not rslora:
        yield AdapterCheck("scaling", "fails", f"{title} does not scale by the root of the rank")
    elif adapter.scales_differ:
        reason = f"{title} scales every module by alpha / r of the config: the patterns' other "
        yield AdapterCheck("scaling", "fails", f"{reason}ranks or alphas would be ignored")
    else:
        yield AdapterCheck("scaling", "ok", "one scale for all modules")
    if adapter.unread:
        names = ", ".join(adapter.unread)
        yield AdapterCheck("config", "unknown", f"whether {title} applies {names} is not known")


def check(name: str, passed: bool, failure: str, success: str) -> AdapterCheck:
    """A check with the reason of its state."""
    return AdapterCheck(name, "ok" if passed else "fails", success if passed else failure)


def rank_slot(ranks: Iterable[int], sizes: Iterable[int]) -> int | None:
    """The smallest of an engine's ``sizes`` that holds every rank; None if none does."""
    largest = max(ranks, default=0)
    return next((size for size in sorted(sizes) if size >= largest), None)
