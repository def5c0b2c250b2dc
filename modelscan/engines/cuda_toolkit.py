"""Which NVIDIA driver and card a build for a CUDA toolkit runs on. Pure.

Drivers: NVIDIA's CUDA release notes, "CUDA Toolkit and Minimum Required Driver Version for CUDA
Minor Version Compatibility". Lowest compute capability: the same notes, "Deprecated architectures".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelscan.engines.support_rules import Capability, capability, dot

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu

Version = tuple[int, ...]
# Major version of the toolkit -> what it needs at least.
_DRIVERS: Mapping[int, Version] = {11: (450, 80, 2), 12: (525, 60, 13), 13: (580, 65, 6)}
_LOWEST: Mapping[int, Capability] = {11: (3, 5), 12: (5, 0), 13: (7, 5)}
_BLACKWELL: Capability = (10, 0)
_BLACKWELL_SINCE: Version = (12, 8)


def numbers(text: str | None) -> Version:
    """``550.54.14`` -> (550, 54, 14); () where there is no number."""
    return tuple(map(int, re.findall(r"\d+", text or "")))


def toolkit_refusal(toolkit: Version, gpu: Gpu) -> str | None:
    """Why a build for this CUDA toolkit does not run on the GPU; None where nothing objects.

    An unknown driver or compute capability is no objection.
    """
    name = "CUDA " + ".".join(map(str, toolkit))
    driver, needed = numbers(gpu.driver_version), _DRIVERS.get(toolkit[0] if toolkit else 0)
    if driver and needed and driver < needed[: len(driver)]:
        least = ".".join(map(str, needed[:2]))
        return f"{name} needs driver {least} or newer, this one is {gpu.driver_version}"
    current, lowest = capability(gpu.compute_capability), _LOWEST.get(toolkit[0] if toolkit else 0)
    if current and lowest and current < lowest:
        return f"{name} has no code for compute capability {dot(current)} ({dot(lowest)} or newer)"
    if current and current >= _BLACKWELL and toolkit and toolkit < _BLACKWELL_SINCE:
        return f"{name} has no code for compute capability {dot(current)} (CUDA 12.8 or newer has)"
    return None
