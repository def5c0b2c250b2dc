"""Does it fit: each device by itself, against what is free on it now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from modelscan.core.estimate import DeviceEstimate
from modelscan.core.verdict import Verdict


class Judgement(NamedTuple):
    """``verdict`` is None when free memory is unknown. ``within_margin``: the estimate fits, but
    an error of the estimate's own size would make it not fit."""

    verdict: Verdict | None
    within_margin: bool = False


FITS, TIGHT = Judgement(Verdict.FITS), Judgement(Verdict.FITS, within_margin=True)
DOES_NOT_FIT, UNKNOWN = Judgement(Verdict.DOES_NOT_FIT), Judgement(None)


def device_verdict(device: DeviceEstimate, margin_bytes: int) -> Judgement:
    """The judgement of one device, against its free memory."""
    free = device.free_bytes
    if free is None:
        return UNKNOWN
    needed = max(device.total_bytes, device.budget_bytes or 0)
    if needed > free:
        return DOES_NOT_FIT
    return FITS if device.total_bytes + margin_bytes <= free else TIGHT


def verdict(devices: Iterable[DeviceEstimate], margin_bytes: int) -> Judgement:
    """The worst of the devices; never the sum. The margin is split evenly between them."""
    known = list(devices)
    share = margin_bytes // max(1, len(known))
    judgements = [device_verdict(device, share) for device in known]
    for worst in (DOES_NOT_FIT, TIGHT):
        if worst in judgements:
            return worst
    return FITS if judgements and UNKNOWN not in judgements else UNKNOWN
