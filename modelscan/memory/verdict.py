"""Does it fit: each device by itself, against what is free on it now."""

from __future__ import annotations

from collections.abc import Iterable

from modelscan.core.estimate import DeviceEstimate

FITS, TIGHT, DOES_NOT_FIT = "fits", "tight", "does_not_fit"


def device_verdict(device: DeviceEstimate, margin_bytes: int) -> str | None:
    """``tight``: the estimate fits, but not with its margin. None when free memory is unknown."""
    free = device.free_bytes
    if free is None:
        return None
    needed = max(device.total_bytes, device.budget_bytes or 0)
    if needed > free:
        return DOES_NOT_FIT
    return FITS if device.total_bytes + margin_bytes <= free else TIGHT


def verdict(devices: Iterable[DeviceEstimate], margin_bytes: int) -> str | None:
    """The worst of the devices; never the sum. The margin is split evenly between them."""
    known = list(devices)
    share = margin_bytes // max(1, len(known))
    found = [device_verdict(device, share) for device in known]
    for worst in (DOES_NOT_FIT, TIGHT):
        if worst in found:
            return worst
    return FITS if found and None not in found else None
