"""Quality against memory of a model's files: the card is a line, the size of a mark is speed, its
shape the engine, filled where it fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from modelscan.core.plan import FileEstimate, FileSize
from modelscan.core.units import GIB
from modelscan.web.charts.frame import (
    BOLD_LETTER,
    LETTER,
    Box,
    Frame,
    binary_step,
    place_label,
)
from modelscan.web.words import gib, loss, speed

_BEST, _WORST = 0.03, 1000.0
_ROWS = ((0.03, "none"), (0.1, "0.1 %"), (1, "1 %"), (10, "10 %"), (100, "100 %"), (1000, "1000 %"))
_SIZES = {"wide": (600, 430), "narrow": (358, 400)}
STATES = {"fits": "fits", "tight": "tight", "too_big": "too big"}


class _Scales:
    """The axes: GiB (linear), perplexity above the original's (logarithmic)."""

    def __init__(self, frame: Frame, sizes: Sequence[float], limit: float, size: str) -> None:
        least, most = min(sizes) / GIB, max(sizes) / GIB
        self.limit = limit / GIB
        low = min(least, self.limit) * 0.92
        self.high = min(most * 1.04, max(self.limit * 1.75, least * 2.2)) or 1.0
        self.step = binary_step(max(0.25, self.high - low), 8 if size == "wide" else 5)
        self.low = math.floor(low / self.step) * self.step
        self.area = frame.area

    def x(self, value: float) -> float:
        part = (min(value, self.high) - self.low) / ((self.high - self.low) or 1)
        return self.area.left + part * (self.area.right - self.area.left)

    def y(self, percent: float) -> float:
        clipped = math.log10(min(max(percent, _BEST), _WORST))
        part = (clipped - math.log10(_BEST)) / (math.log10(_WORST) - math.log10(_BEST))
        return self.area.top + 14 + part * (self.area.bottom - self.area.top - 22)


def scatter(
    files: Sequence[FileSize], limit: float, card: str, size: str, where: str = "GPU memory"
) -> Markup:
    """The picture, "" where no file has both a size and a quality. ``limit``: free bytes."""
    known = [
        (one, one.estimate, one.perplexity_percent)
        for one in files
        if one.estimate is not None and one.perplexity_percent is not None
    ]
    if not known:
        return Markup("")
    frame = Frame(*_SIZES[size], left=58, right=14)
    scales = _Scales(frame, [estimate.device_bytes for _, estimate, _ in known], limit, size)
    taken = _axes(frame, scales, card, where)
    _draw(frame, scales, known, taken)
    inside = sum(estimate.state != "too_big" and one.runs.ok for one, estimate, _ in known)
    return frame.svg(
        size,
        f"{len(known)} files of this model; {inside} fit {card}. "
        "The same numbers are in the table of files.",
    )


def _axes(frame: Frame, scales: _Scales, card: str, where: str) -> list[Box]:
    area, edge = frame.area, scales.x(scales.limit)
    beyond = edge < area.right
    if beyond:
        frame.box(area._replace(left=edge), "beyond")
    for value, words in _ROWS:
        frame.tick_y(scales.y(value), words)
    tick = scales.low
    while tick <= scales.high:
        frame.tick_x(scales.x(tick), f"{tick:g}")
        tick += scales.step
    frame.across(f"{where} needed (GiB)")
    frame.title("Quality loss: perplexity above the original")
    if not beyond:
        return []
    frame.line(edge, area.top, edge, area.bottom, "limit")
    near = edge - area.left < 8 * len(card)
    frame.text(edge + (5 if near else -5), area.bottom - 8, card, "limit-text",
               "start" if near else "end")  # fmt: skip
    frame.text(edge + 5, area.bottom - (24 if near else 8), "too big", "limit-text soft", "start")
    return [Box(edge - 110, area.bottom - 36, edge + 110, area.bottom),
            Box(edge - 3, area.top, edge + 3, area.bottom)]  # fmt: skip


def _draw(
    frame: Frame,
    scales: _Scales,
    known: Sequence[tuple[FileSize, FileEstimate, float]],
    taken: list[Box],
) -> None:
    """The marks, and the labels that have room: the chosen file first, then the best ones."""
    fastest = max((estimate.tokens_per_s or 0) for _, estimate, _ in known) or 1.0
    best = _frontier(known)
    order = sorted(known, key=lambda row: (not row[0].chosen, id(row[0]) not in best,
                                           row[1].device_bytes))  # fmt: skip
    places = []
    for one, estimate, percent in order:
        x, y = scales.x(estimate.device_bytes / GIB), scales.y(percent)
        r = 3.5 + 5.5 * math.sqrt((estimate.tokens_per_s or 0) / fastest)
        places.append((one, estimate, x, y, r))
    for one, estimate, x, y, r in reversed(places):
        _mark(frame, one, estimate, x, y, r)
    boxes = [Box(x - r - 2, y - r, x + r + 2, y + r) for _, _, x, y, r in places]
    for (one, estimate, x, y, r), own in zip(places, boxes, strict=True):
        _name(frame, scales, one, estimate, (x, y, r), [*taken, *(b for b in boxes if b != own)],
              taken)  # fmt: skip


def _mark(
    frame: Frame, one: FileSize, estimate: FileEstimate, x: float, y: float, r: float
) -> None:
    runs = one.runs.ok and estimate.state != "too_big"
    if one.chosen:
        frame.mark("circle", x, y, r + 5, "halo", "chosen")
    kind = f"dot {'fits' if runs else 'over'}{' chosen' if one.chosen else ''}"
    shape = "circle" if one.format == "gguf" else "square"
    frame.mark(shape, x, y, r, kind, describe(one))


def _name(
    frame: Frame,
    scales: _Scales,
    one: FileSize,
    estimate: FileEstimate,
    at: tuple[float, float, float],
    blocked: Sequence[Box],
    taken: list[Box],
) -> None:
    x, y, r = at
    words = one.quantization or one.format
    if estimate.device_bytes / GIB > scales.high:
        words += f" {gib(estimate.device_bytes, 0)} →"
    letter = BOLD_LETTER if one.chosen else LETTER
    around = r + 5 if one.chosen else r
    found = place_label(x, y, words, around, blocked, frame.area, letter=letter)
    if found is None:
        return
    left, top, anchor, box = found
    taken.append(box)
    frame.text(left, top, words, "name chosen" if one.chosen else "name", anchor)


def _frontier(known: Sequence[tuple[FileSize, FileEstimate, float]]) -> set[int]:
    """The files that no smaller file beats in quality, by id."""
    best, found = math.inf, set()
    for one, _, percent in sorted(known, key=lambda row: (row[1].device_bytes, row[2])):
        if percent < best:
            best = percent
            found.add(id(one))
    return found


def describe(one: FileSize) -> str:
    """A file in one sentence."""
    estimate, quality = one.estimate, one.quality
    fits = STATES[estimate.state] if estimate and one.runs.ok else "cannot run here"
    bytes_ = f"{gib(estimate.device_bytes)} GiB ({fits})" if estimate else fits
    lost = loss(one.perplexity_percent, quality.basis if quality else None)
    pace = estimate.tokens_per_s if estimate else None
    rate = f", about {speed(pace)} tokens/s" if pace else ""
    name = f"{one.quantization or one.format}, {one.runs.engine or one.format}"
    return f"{name}: {bytes_}, quality loss {lost}{rate}"
