"""Quality against speed: a point per model, higher is better, further right is faster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from modelscan.web.charts.frame import Box, Frame, place_label, step_of
from modelscan.web.words import size as bytes_text
from modelscan.web.words import speed

_SIZES = {"wide": (560, 330), "narrow": (358, 300)}
_LONGEST = 22


class Paced(NamedTuple):
    """A model's score, its output tokens per second, and its memory in bytes (None: unknown)."""

    name: str
    score: float
    tokens_per_s: float
    memory_bytes: int | None


def pace(rows: Sequence[Paced], size: str, metric: str) -> Markup:
    """The picture, "" with fewer than two points. The area of a mark is its memory."""
    if len(rows) < 2:
        return Markup("")
    frame = Frame(*_SIZES[size], left=46, right=20)
    low, high = _bounds([row.score for row in rows])
    fastest = max(row.tokens_per_s for row in rows) * 1.08 or 1.0
    area = frame.area

    def place(row: Paced) -> tuple[float, float]:
        x = area.left + row.tokens_per_s / fastest * (area.right - area.left)
        return x, area.bottom - (row.score - low) / (high - low) * (area.bottom - area.top)

    _axes(frame, low, high, fastest, metric)
    most = max((row.memory_bytes or 0 for row in rows), default=0) or 1
    marks = [(row, *place(row), 4 + 6 * math.sqrt((row.memory_bytes or 0) / most)) for row in rows]
    for row, x, y, r in marks:
        frame.mark("circle", x, y, r, "dot fits", sentence(row))
    boxes = [Box(x - r, y - r, x + r, y + r) for _, x, y, r in marks]
    taken: list[Box] = []
    for (row, x, y, r), own in zip(marks, boxes, strict=True):
        words = row.name if len(row.name) <= _LONGEST else f"{row.name[: _LONGEST - 1]}…"
        found = place_label(x, y, words, r, [*taken, *(b for b in boxes if b != own)], area)
        if found is not None:
            taken.append(found[3])
            frame.text(found[0], found[1], words, "name", found[2])
    return frame.svg(size, f"{metric} against speed. " + "; ".join(map(sentence, rows)))


def _bounds(scores: Sequence[float]) -> tuple[float, float]:
    """At least 0.1 is shown, so that no difference looks larger than it is, with room around it."""
    step = step_of(max(max(scores) - min(scores), 0.1), 5)
    low, high = (
        math.floor(min(scores) / step - 0.5) * step,
        math.ceil(max(scores) / step + 0.5) * step,
    )
    return max(low, min(0.0, *scores)), high


def _axes(frame: Frame, low: float, high: float, fastest: float, metric: str) -> None:
    area = frame.area
    step = step_of(high - low, 6)
    for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        y = area.bottom - (number * step - low) / (high - low) * (area.bottom - area.top)
        frame.tick_y(y, f"{round(number * step, 6):.3g}")
    step = step_of(fastest, 5)
    for number in range(math.floor(fastest / step) + 1):
        frame.tick_x(area.left + number * step / fastest * (area.right - area.left),
                     f"{number * step:,.6g}")  # fmt: skip
    frame.across("Output tokens/s")
    frame.title(metric.replace("_", " "))


def sentence(row: Paced) -> str:
    """A point in words."""
    memory = "" if row.memory_bytes is None else f", {bytes_text(row.memory_bytes)}"
    return f"{row.name}: {row.score:.2f}, {speed(row.tokens_per_s)} tokens/s{memory}"
