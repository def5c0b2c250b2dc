"""Speeds from this machine's benchmarks: what was measured here corrects the formula. Pure.

A model that was measured here, in the same quantization, engine and devices, has its measured
speed: the formula's figure times the median of measured / computed, so that another context is
still taken into account. Another model has the formula's figure times the median over at least
``_ENOUGH`` measured models of that engine and those devices.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from modelscan.core.estimate import Speed

if TYPE_CHECKING:
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Inventory
    from modelscan.core.measurement import SpeedMeasurement

_ENOUGH = 3  # measured models from which others are corrected
_NEWEST = 5  # runs of one model: an engine may have become faster
_ALONE = 0.10  # the bounds around a single run
MEASURED_HERE = "measured here"

Kind = Literal["decode", "prefill"]


class _Correction(NamedTuple):
    """A factor on the formula, its bounds, and the runs that it comes from."""

    factor: float
    low: float
    high: float
    runs: int
    models: int
    own: bool  # of this model


def devices_of(gpus: Sequence[int | None], hardware: Inventory) -> str:
    """The devices as text: ``2 x NVIDIA H100``, or the processor."""
    names = [gpu.name for gpu in hardware.gpus if gpu.index in gpus]
    if names:
        counts = [(names.count(name), name) for name in dict.fromkeys(names)]
        return " + ".join(f"{count} x {name}" if count > 1 else name for count, name in counts)
    host = hardware.host
    cpus = f", {host.cpus} CPUs" if host.cpus else ""
    return f"{host.cpu_name or 'CPU'}{cpus}"


def with_speeds(
    found: Estimate, speeds: Iterable[SpeedMeasurement], inventory: Inventory
) -> Estimate:
    """The estimate with the speed that was learned here; unchanged where nothing was."""
    if inventory.simulated:
        return found
    devices = devices_of([device.index for device in found.per_gpu], inventory)
    rows = [row for row in speeds if row.backend == found.backend and row.devices == devices]
    if not rows:
        return found
    decode = _correction(found, rows, "decode")
    prefill = _correction(found, rows, "prefill")
    if found.speed is None:
        measured = _absolute(found, rows)
        return found if measured is None else replace(found, speed=measured)
    speed = found.speed
    if decode is not None or prefill is not None:
        speed = _corrected(speed, decode, prefill)
    if speed.prefill_tokens_per_s is None:
        speed = replace(speed, prefill_tokens_per_s=_own_prefill(found, rows))
    return found if speed == found.speed else replace(found, speed=speed)


def computed_speed(speed: Speed | None, kind: Kind) -> float | None:
    """The formula's own figure of a speed that may have been corrected."""
    if speed is None:
        return None
    if kind == "decode":
        return speed.computed_decode_tokens_per_s or speed.decode_tokens_per_s
    return speed.computed_prefill_tokens_per_s or speed.prefill_tokens_per_s


def _correction(
    found: Estimate, rows: Sequence[SpeedMeasurement], kind: Kind
) -> _Correction | None:
    own = [
        ratio for row in rows if _is_same(row, found) and (ratio := _ratio(row, kind)) is not None
    ][-_NEWEST:]
    if own:
        return _of(own, models=1, own=True)
    newest: dict[tuple[str, str | None], float] = {}
    for row in rows:  # oldest first
        ratio = _ratio(row, kind)
        if ratio is not None:
            newest[row.model, row.quantization] = ratio
    models = {model for model, _ in newest}
    if len(models) < _ENOUGH:
        return None
    return _of(list(newest.values()), models=len(models), own=False)


def _of(ratios: Sequence[float], *, models: int, own: bool) -> _Correction:
    middle = statistics.median(ratios)
    low = min(*ratios, middle * (1 - _ALONE))
    high = max(*ratios, middle * (1 + _ALONE))
    return _Correction(middle, low, high, len(ratios), models, own)


def _ratio(row: SpeedMeasurement, kind: Kind) -> float | None:
    """Measured by computed; None if one is unknown."""
    if kind == "decode":
        measured, computed = row.decode_tokens_per_s, row.estimated_decode_tokens_per_s
    else:
        measured, computed = row.prefill_tokens_per_s, row.estimated_prefill_tokens_per_s
    return measured / computed if measured and computed else None


def _is_same(row: SpeedMeasurement, found: Estimate) -> bool:
    return row.model == found.model and row.quantization == found.quantization


def _corrected(speed: Speed, decode: _Correction | None, prefill: _Correction | None) -> Speed:
    rate, prompt = speed.decode_tokens_per_s, speed.prefill_tokens_per_s
    changed = speed
    if decode is not None and rate is not None:
        changed = replace(
            changed,
            decode_tokens_per_s=_rounded(rate * decode.factor),
            low=_rounded(rate * decode.low),
            high=_rounded(rate * decode.high),
            computed_decode_tokens_per_s=rate,
        )
    if prefill is not None and prompt is not None:
        changed = replace(
            changed,
            prefill_tokens_per_s=_rounded(prompt * prefill.factor),
            computed_prefill_tokens_per_s=prompt,
        )
    reason = decode or prefill
    assert reason is not None
    return replace(changed, basis=f"{_basis(reason)}; {speed.basis}")


def _absolute(found: Estimate, rows: Sequence[SpeedMeasurement]) -> Speed | None:
    """The measured speed of a model for which the formula lacks a fact."""
    own = [row for row in rows if _is_same(row, found) and row.decode_tokens_per_s][-_NEWEST:]
    if not own:
        return None
    made = _of([row.decode_tokens_per_s or 0.0 for row in own], models=1, own=True)
    return Speed(
        decode_tokens_per_s=_rounded(made.factor),
        prefill_tokens_per_s=_own_prefill(found, rows),
        low=_rounded(made.low),
        high=_rounded(made.high),
        basis=_basis(made),
    )


def _own_prefill(found: Estimate, rows: Sequence[SpeedMeasurement]) -> float | None:
    """What was measured of this model's prompts, where the formula gives nothing."""
    own = [row.prefill_tokens_per_s for row in rows if _is_same(row, found)][-_NEWEST:]
    known = [rate for rate in own if rate is not None]
    return _rounded(statistics.median(known)) if known else None


def _basis(made: _Correction) -> str:
    runs = "1 run" if made.runs == 1 else f"{made.runs} runs"
    if made.own:
        return f"{MEASURED_HERE}, {runs} of modelscan bench"
    return f"corrected by x{made.factor:.2f}, {MEASURED_HERE} with {made.models} models"


def _rounded(value: float) -> float:
    return round(value, 1) if value >= 10 else round(value, 2)
