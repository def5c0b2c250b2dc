"""Memory against context, one line per type of KV cache; a horizontal line is the card."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from modelscan.core.plan import CacheCurve, ContextTier
from modelscan.core.units import GIB
from modelscan.web.charts.frame import Box, Frame, binary_step
from modelscan.web.words import gib, tokens

_SIZES = {"wide": (600, 340, 92), "narrow": (358, 320, 60)}
_SHAPES = ("circle", "square", "triangle")
_STATES = {"fits": "fits", "tight": "tight", "too_big": "too much"}


def needed(point: ContextTier) -> int:
    """The bytes that decide: what is needed of a memory pool, not what is reserved."""
    return point.device_bytes


class _Scales:
    def __init__(self, frame: Frame, points: Sequence[ContextTier], limit: float) -> None:
        sizes = [needed(point) for point in points]
        self.area, self.limit = frame.area, limit
        self.last = max(point.context_tokens for point in points)
        self.margin = max(point.margin_bytes for point in points)
        self.top = max(*sizes, limit) / GIB * 1.04
        self.low = min(*sizes, limit) / GIB * 0.94
        if self.top - self.low > 4:
            self.low = math.floor(self.low)

    def x(self, context: float) -> float:
        return self.area.left + context / self.last * (self.area.right - self.area.left)

    def y(self, size: float) -> float:
        part = (size / GIB - self.low) / ((self.top - self.low) or 1)
        return self.area.bottom - part * (self.area.bottom - self.area.top)


def curve(
    curves: Sequence[CacheCurve], limit: float, now: int, card: str, size: str,
    where: str = "GPU memory",
) -> Markup:  # fmt: skip
    """The picture, "" without points. ``limit``: free bytes; ``now``: the planned context."""
    points = [point for one in curves for point in one.points]
    if not points:
        return Markup("")
    width, height, right = _SIZES[size]
    frame = Frame(width, height, left=46, right=right)
    scales = _Scales(frame, points, limit)
    _axes(frame, scales, size, where)
    _limit(frame, scales, card, size)
    _now(frame, scales, now)
    for number, one in enumerate(curves):
        _line(frame, scales, number, one)
    _names(frame, scales, curves, size)
    most = "; ".join(f"{one.kv_cache}: at most {tokens(one.max_context_tokens)}" for one in curves)
    return frame.svg(
        size,
        f"{where} over context by type of KV cache. What fits {card}: {most}. "
        "The same numbers are in the table below.",
    )


def _axes(frame: Frame, scales: _Scales, size: str, where: str) -> None:
    step = binary_step(scales.top - scales.low, 7)
    tick = math.ceil(scales.low / step) * step
    while tick <= scales.top:
        frame.tick_y(scales.y(tick * GIB), f"{tick:g}")
        tick += step
    wide = 4096
    while scales.last / wide > (9 if size == "wide" else 5):
        wide *= 2
    for at in range(0, scales.last + 1, wide):
        frame.tick_x(scales.x(at), tokens(at) if at else "0")
    frame.across("Context (tokens)")
    frame.title(f"{where} (GiB)")


def _limit(frame: Frame, scales: _Scales, card: str, size: str) -> None:
    area, edge = frame.area, scales.y(scales.limit)
    frame.box(area._replace(bottom=edge), "beyond")
    under = min(area.bottom, scales.y(scales.limit - scales.margin))
    frame.box(Box(area.left, edge, area.right, under), "tight")
    frame.line(area.left, edge, area.right, edge, "limit")
    words = f"{card}: {gib(scales.limit)} GiB" if size == "wide" else f"{gib(scales.limit)} GiB"
    frame.text(area.left + 6, edge - 6, words, "limit-text", "start")


def _now(frame: Frame, scales: _Scales, now: int) -> None:
    area, x = frame.area, scales.x(min(now, scales.last))
    frame.out.append(
        f'<g class="now" data-left="{area.left:g}" data-right="{area.right:g}" '
        f'data-last="{scales.last}"><line x1="{x:.1f}" x2="{x:.1f}" '
        f'y1="{area.top:g}" y2="{area.bottom:g}"/></g>'
    )


def _line(frame: Frame, scales: _Scales, number: int, one: CacheCurve) -> None:
    kind = f"k{number % 3}"
    places = [(scales.x(p.context_tokens), scales.y(needed(p)), p) for p in one.points]
    path = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y, _) in enumerate(places))
    frame.out.append(f'<path class="kv {kind}" d="{path}"/>')
    for x, y, point in places:
        title = (
            f"{tokens(point.context_tokens)} with {one.kv_cache}: {gib(needed(point))} GiB, "
            f"{_STATES[point.state]}"
        )
        frame.mark(_SHAPES[number % 3], x, y, 3.6, f"pt {kind}", title)


def _names(frame: Frame, scales: _Scales, curves: Sequence[CacheCurve], size: str) -> None:
    """The name of each line at its end; names that would overlap are moved down."""
    ends = sorted((scales.y(needed(one.points[-1])), number, one.kv_cache)
                  for number, one in enumerate(curves) if one.points)  # fmt: skip
    last = -math.inf
    for y, number, words in ends:
        last = max(y, last + 15)
        text = f"KV {words}" if size == "wide" else words
        frame.text(frame.area.right + 8, last + 4, text, f"series k{number % 3}", "start")
