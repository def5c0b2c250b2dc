"""Scores with their intervals: a point and a line per row, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from modelscan.web.charts.frame import Frame, step_of

_ROW = 34
_SIZES = {"wide": (560, 200), "narrow": (358, 120)}


class Interval(NamedTuple):
    """A score, the bounds of its interval (None: unknown), and on how many tasks it is based."""

    name: str
    value: float
    lower: float | None
    upper: float | None
    n: int | None


def intervals(rows: Sequence[Interval], size: str, metric: str, *, zero: bool = False) -> Markup:
    """The picture, "" without rows. ``zero``: with a line at 0, for differences."""
    if not rows:
        return Markup("")
    width, left = _SIZES[size]
    frame = Frame(
        width, 66 + _ROW * len(rows), left=left, right=100 if size == "wide" else 58, top=10
    )
    low, high = _bounds(rows, zero)
    area = frame.area

    def x(value: float) -> float:
        return area.left + (value - low) / (high - low) * (area.right - area.left)

    step = step_of(high - low, 6 if size == "wide" else 3)
    for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        at = x(number * step)
        frame.line(at, area.top, at, area.bottom, "grid")
        frame.tick_x(at, f"{number * step:.6g}"[:6])
    if zero:
        frame.line(x(0), area.top, x(0), area.bottom, "limit")
    frame.across(metric.replace("_", " "))
    for number, row in enumerate(rows):
        y = area.top + 18 + number * _ROW
        ends = (row.value if end is None else end for end in (row.lower, row.upper))
        left_x, right_x = map(x, ends)
        frame.line(left_x, y, right_x, y, "interval")
        for end in (left_x, right_x):
            frame.line(end, y - 5, end, y + 5, "interval")
        frame.mark("circle", x(row.value), y, 5, "score", sentence(row))
        frame.text(area.left - 8, y + 4, _short(row.name, size), "name-tick", "end")
        frame.text(right_x + 9, y + 4, _value(row, size), "value", "start")
    return frame.svg(size, "; ".join(map(sentence, rows)))


def _value(row: Interval, size: str) -> str:
    """The score, with the number of tasks where there is room."""
    return f"{row.value:.2f}" + (f" (n {row.n})" if row.n is not None and size == "wide" else "")


def _bounds(rows: Sequence[Interval], zero: bool) -> tuple[float, float]:
    values = [v for row in rows for v in (row.value, row.lower, row.upper) if v is not None]
    if not zero and min(values) >= 0 and max(values) <= 1:
        return 0.0, 1.0
    reach = max(0.05, *(abs(value) for value in values))
    return (-reach, reach) if zero else (min(0.0, *values), max(values) * 1.05)


def sentence(row: Interval) -> str:
    """A row in words."""
    between = ""
    if row.lower is not None and row.upper is not None:
        between = f" ({row.lower:.2f} to {row.upper:.2f})"
    of = f", {row.n} tasks" if row.n is not None else ""
    return f"{row.name}: {row.value:.2f}{between}{of}"


def _short(name: str, size: str) -> str:
    """At most what has room; models of one family differ at their ends."""
    most = 23 if size == "wide" else 13
    return name if len(name) <= most else f"{name[: most - 7]}…{name[-6:]}"
