"""``CUDA_VISIBLE_DEVICES`` and related variables: the devices visible to an engine, in order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelscan.core.gpu import Gpu, Problem

Split = tuple[tuple[Gpu, ...], tuple[Gpu, ...]]  # (visible in order, hidden)


def apply_visibility(
    gpus: Sequence[Gpu], environ: Mapping[str, str]
) -> tuple[tuple[Gpu, ...], tuple[Gpu, ...], tuple[Problem, ...]]:
    """Visible devices with their new indices, hidden ones, and problems with the variables."""
    visible: list[Gpu] = []
    hidden: list[Gpu] = []
    problems: list[Problem] = []
    for vendor in dict.fromkeys(gpu.vendor for gpu in gpus):
        candidates = [gpu for gpu in gpus if gpu.vendor == vendor]
        for variable in _variables(vendor, environ):
            selected = select(candidates, environ[variable], vendor)
            if environ[variable].strip() and not selected and candidates:
                problems.append(_nothing_left(variable, environ[variable], len(candidates)))
            elif selected:
                problems += _cut_short(variable, environ[variable], candidates, vendor)
            problems += _order(variable, environ, candidates)
            hidden += [gpu for gpu in candidates if gpu not in selected]
            candidates = selected
        visible += [replace(gpu, visible_index=i) for i, gpu in enumerate(candidates)]
    return tuple(visible), tuple(replace(g, visible_index=None) for g in hidden), tuple(problems)


def _variables(vendor: str, environ: Mapping[str, str]) -> list[str]:
    """The variables that apply to a vendor, in order of application."""
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
    """The devices in a variable's value.

    As in CUDA, the first invalid entry ends the list, and a repeated device makes the list empty.
    """
    selected: list[Gpu] = []
    for word in value.split(",")[:256]:
        gpu = _one(gpus, word.strip(), vendor)
        if gpu is None:
            break
        if gpu in selected:
            return []
        selected.append(gpu)
    return selected


def _one(gpus: Sequence[Gpu], word: str, vendor: str) -> Gpu | None:
    if re.match(r"^\d{1,4}$", word):
        return _by_number(gpus, int(word), vendor)
    if vendor == "intel" and re.match(r"^\d{1,4}\.\d{1,2}$", word):
        return _by_number(gpus, int(word.split(".")[0]), vendor)
    matches = [gpu for gpu in gpus if gpu.uuid and _uuid_matches(gpu, word)]
    return matches[0] if len(matches) == 1 else None


def _by_number(gpus: Sequence[Gpu], number: int, vendor: str) -> Gpu | None:
    if vendor == "amd":  # indices count the remaining devices, not all devices
        return gpus[number] if number < len(gpus) else None
    matches = [gpu for gpu in gpus if _number(gpu) == number]
    return matches[0] if matches else None  # for a card in MIG mode: its first instance


def _number(gpu: Gpu) -> int:
    return gpu.index if gpu.vendor_index is None else gpu.vendor_index


def _uuid_matches(gpu: Gpu, word: str) -> bool:
    """True for a UUID or its beginning; also for old drivers' ``MIG-GPU-<uuid>/<gi>/<ci>``."""
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
    """The problem of an invalid entry, which hides all later ones; -1 ends a list on purpose."""
    words = [word.strip() for word in value.split(",")[:256]]
    invalid = next((word for word in words if word and _one(gpus, word, vendor) is None), "-1")
    if invalid.startswith("-"):
        return []
    message = f"{variable}={value[:80]}: '{invalid[:40]}' is no device; later entries are hidden"
    return [Problem("unknown_visible_device", message, f"unset {variable}, or correct it")]


def _order(variable: str, environ: Mapping[str, str], gpus: Sequence[Gpu]) -> list[Problem]:
    """The problem of CUDA's default order, fastest card first; drivers order by PCI address."""
    mixed = len({gpu.name for gpu in gpus}) > 1
    by_number = bool(re.match(r"^\s*\d", environ[variable]))
    if variable != "CUDA_VISIBLE_DEVICES" or not mixed or not by_number:
        return []
    if environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return []
    return [
        Problem(
            "device_order",
            "the cards differ and CUDA_DEVICE_ORDER is not PCI_BUS_ID: CUDA's indices may "
            "differ from those listed here",
            "export CUDA_DEVICE_ORDER=PCI_BUS_ID",
        )
    ]
