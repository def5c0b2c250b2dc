"""Whether an estimate fits: each device is compared with its own free memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from modelscan.core.estimate import DeviceEstimate
from modelscan.core.verdict import Verdict


class Judgement(NamedTuple):
    """``verdict`` is None if free memory is unknown. ``within_margin``: the estimate fits, but less
    than the margin of error is left.
    """

    verdict: Verdict | None
    within_margin: bool = False


FITS, TIGHT = Judgement(Verdict.FITS), Judgement(Verdict.FITS, within_margin=True)
DOES_NOT_FIT, UNKNOWN = Judgement(Verdict.DOES_NOT_FIT), Judgement(None)


def device_verdict(device: DeviceEstimate, margin_bytes: int) -> Judgement:
    """Compare one device's estimate plus ``margin_bytes`` with its free memory."""
    free = device.free_bytes
    if free is None:
        return UNKNOWN
    needed = max(device.total_bytes, device.budget_bytes or 0)
    if needed > free:
        return DOES_NOT_FIT
    return FITS if device.total_bytes + margin_bytes <= free else TIGHT


def verdict(devices: Iterable[DeviceEstimate], margin_bytes: int) -> Judgement:
    """The worst judgement of the devices; ``margin_bytes`` is divided evenly between them."""
    estimates = list(devices)
    share = margin_bytes // max(1, len(estimates))
    judgements = [device_verdict(device, share) for device in estimates]
    for worst in (DOES_NOT_FIT, TIGHT):
        if worst in judgements:
            return worst
    return FITS if judgements and UNKNOWN not in judgements else UNKNOWN
