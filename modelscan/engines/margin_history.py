"""Margins from this machine's history: the errors of an engine's earlier estimates here.

Robust: one outlier (another program in the log, a model that was swapped) does not change the
margin. Errors beyond ``_OUTLIER`` scaled median absolute deviations are excluded (the modified
z-score of Iglewicz and Hoaglin); fewer than ``_ENOUGH`` rows give no margin.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.units import MIB
from modelscan.memory.verdict import FITS, Judgement, verdict

if TYPE_CHECKING:
    from modelscan.core.estimate import Estimate
    from modelscan.core.measurement import Measurement

_ENOUGH = 5
_OUTLIER = 3.5
_SCALE = 1.4826  # of the median absolute deviation, for a normal distribution
_FLOOR = 0.001  # deviations below a tenth of a percent are rounding
_SMALL_BYTES = 256 * MIB  # relative errors of tiny models say nothing about real ones
_SAFETY = 1.25


def learned_share(history: Iterable[Measurement], backend: str) -> float | None:
    """The margin as a share of the total, or None with too few starts."""
    errors = [
        row.relative_error
        for row in history
        if row.backend == backend and row.measured_bytes >= _SMALL_BYTES
    ]
    inliers = without_outliers(errors)
    if len(inliers) < _ENOUGH:
        return None
    return _SAFETY * max(abs(error) for error in inliers)


def without_outliers(values: Sequence[float]) -> list[float]:
    """The values whose modified z-score is below ``_OUTLIER``."""
    if not values:
        return []
    middle = statistics.median(values)
    spread = _SCALE * statistics.median(abs(value - middle) for value in values)
    limit = _OUTLIER * max(spread, _FLOOR)
    return [value for value in values if abs(value - middle) <= limit]


def with_history(found: Estimate, history: Iterable[Measurement]) -> Estimate:
    """The estimate with a margin of at least the learned one."""
    share = learned_share(history, found.backend)
    if share is None or share * found.total_bytes <= found.margin_bytes:
        return found
    margin = round(share * found.total_bytes)
    note = f"margin {100 * share:.1f} % learned from earlier starts on this machine"
    judged = Judgement(found.verdict, found.within_margin)
    if judged == FITS:
        devices = found.per_gpu or ((found.host,) if found.host else ())
        again = verdict(devices, margin)
        judged = judged if again.verdict is None else again
    return replace(
        found, margin_bytes=margin, verdict=judged.verdict, within_margin=judged.within_margin,
        assumptions=(*found.assumptions, note),
    )  # fmt: skip
