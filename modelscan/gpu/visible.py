"""``CUDA_VISIBLE_DEVICES`` and its relatives: which devices an engine will see, in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelscan.core.gpu import Gpu, Problem

Split = tuple[tuple[Gpu, ...], tuple[Gpu, ...]]  # (visible in order, hidden)


def apply_visibility(
    gpus: Sequence[Gpu], environ: Mapping[str, str]
) -> tuple[tuple[Gpu, ...], tuple[Gpu, ...], tuple[Problem, ...]]:
    """Visible devices with their new numbers, hidden ones, and what is odd about the variables."""
    visible: list[Gpu] = []
    hidden: list[Gpu] = []
    problems: list[Problem] = []
    for vendor in dict.fromkeys(gpu.vendor for gpu in gpus):
        own = [gpu for gpu in gpus if gpu.vendor == vendor]
        for variable in _variables(vendor, environ):
            kept = select(own, environ[variable], vendor)
            if environ[variable].strip() and not kept and own:
                problems.append(_nothing_left(variable, environ[variable], len(own)))
            elif kept:
                problems += _cut_short(variable, environ[variable], own, vendor)
            problems += _order(variable, environ, own)
            hidden += [gpu for gpu in own if gpu not in kept]
            own = kept
        visible += [replace(gpu, visible_index=i) for i, gpu in enumerate(own)]
    return tuple(visible), tuple(replace(g, visible_index=None) for g in hidden), tuple(problems)


def _variables(vendor: str, environ: Mapping[str, str]) -> list[str]:
    """The variables that hold for a vendor, in the order they are applied."""
    if vendor == "nvidia":
        names = ["CUDA_VISIBLE_DEVICES"]
    elif vendor == "amd":
        hip = "HIP_VISIBLE_DEVICES" if "HIP_VISIBLE_DEVICES" in environ else "CUDA_VISIBLE_DEVICES"
        names = ["ROCR_VISIBLE_DEVICES", hip]
    elif vendor == "intel":
        names = ["ZE_AFFINITY_MASK"]
    elif vendor == "ascend":
        names = ["ASCEND_RT_VISIBLE_DEVICES"]
    else:
        names = []
    return [name for name in names if name in environ]


def select(gpus: Sequence[Gpu], value: str, vendor: str) -> list[Gpu]:
    """The devices a value names. As CUDA does: the first invalid entry ends the list, the same
    device twice means none at all."""
    chosen: list[Gpu] = []
    for word in value.split(",")[:256]:
        gpu = _one(gpus, word.strip(), vendor)
        if gpu is None:
            break
        if gpu in chosen:
            return []
        chosen.append(gpu)
    return chosen


def _one(gpus: Sequence[Gpu], word: str, vendor: str) -> Gpu | None:
    if re.match(r"^\d{1,4}$", word):
        return _by_number(gpus, int(word), vendor)
    if vendor == "intel" and re.match(r"^\d{1,4}\.\d{1,2}$", word):
        return _by_number(gpus, int(word.split(".")[0]), vendor)
    named = [gpu for gpu in gpus if gpu.uuid and _uuid_matches(gpu, word)]
    return named[0] if len(named) == 1 else None


def _by_number(gpus: Sequence[Gpu], number: int, vendor: str) -> Gpu | None:
    if vendor == "amd":  # counts in what is left, not in what there is
        return gpus[number] if number < len(gpus) else None
    own = [gpu for gpu in gpus if _number(gpu) == number]
    return own[0] if own else None  # of a card in MIG mode: its first instance


def _number(gpu: Gpu) -> int:
    return gpu.index if gpu.vendor_index is None else gpu.vendor_index


def _uuid_matches(gpu: Gpu, word: str) -> bool:
    """A UUID or the beginning of one; old drivers' ``MIG-GPU-<uuid>/<gi>/<ci>`` by its card."""
    if len(word) < 5 or not gpu.uuid:
        return False
    old = re.match(r"^MIG-(GPU-[0-9a-f-]{8,})/(\d+)/(\d+)$", word)
    if old and gpu.uuid.startswith("MIG-GPU-"):
        return gpu.uuid == word
    return gpu.uuid.lower().startswith(word.lower())


def _nothing_left(variable: str, value: str, count: int) -> Problem:
    return Problem(
        "all_hidden",
        f"{variable}={value[:80]} hides all {count} devices",
        f"unset {variable}",
    )


def _cut_short(variable: str, value: str, gpus: Sequence[Gpu], vendor: str) -> list[Problem]:
    """An entry that names no device hides what follows it; -1 is how one ends a list on purpose."""
    words = [word.strip() for word in value.split(",")[:256]]
    wrong = next((word for word in words if word and _one(gpus, word, vendor) is None), "-1")
    if wrong.startswith("-"):
        return []
    said = f"{variable}={value[:80]}: '{wrong[:40]}' names no device; what follows it is hidden"
    return [Problem("unknown_visible_device", said, f"unset {variable}, or correct it")]


def _order(variable: str, environ: Mapping[str, str], gpus: Sequence[Gpu]) -> list[Problem]:
    """CUDA counts the fastest card first unless told otherwise; drivers count by PCI address."""
    mixed = len({gpu.name for gpu in gpus}) > 1
    by_number = bool(re.match(r"^\s*\d", environ[variable]))
    if variable != "CUDA_VISIBLE_DEVICES" or not mixed or not by_number:
        return []
    if environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return []
    return [
        Problem(
            "device_order",
            "the cards differ and CUDA_DEVICE_ORDER is not PCI_BUS_ID: CUDA's numbers may not be "
            "those shown here",
            "export CUDA_DEVICE_ORDER=PCI_BUS_ID",
        )
    ]
