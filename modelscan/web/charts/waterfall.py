"""The times of one request, one below the other on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from modelscan.web.charts.frame import Box, Frame, step_of
from modelscan.web.words import seconds

_SIZES = {"wide": (720, 150), "narrow": (358, 96)}
_ROW = 34


class Phase(NamedTuple):
    """A part of a request: what happened from ``start_s`` to ``end_s``, and the class."""

    name: str
    start_s: float
    end_s: float
    kind: str


def phases(
    duration_s: float, queue_s: float | None, wake_s: float | None, ttft_s: float | None
) -> list[Phase]:
    """The phases that the gateway measured: waiting for a free place, loading the model, until the
    first token, and the rest of the answer.
    """
    rows, at = [], 0.0
    for name, length, kind in (
        ("waited in the queue", queue_s, "queue"), ("model was loaded", wake_s, "wake"),
    ):  # fmt: skip
        if length:
            rows.append(Phase(name, at, at + length, kind))
            at += length
    first = min(duration_s, max(at, ttft_s)) if ttft_s is not None else None
    if first is None:
        rows.append(Phase("answer", at, max(at, duration_s), "answer"))
        return rows
    rows.append(Phase("until the first token", at, first, "first"))
    rows.append(Phase("rest of the answer", first, max(first, duration_s), "answer"))
    return rows


def waterfall(rows: Sequence[Phase], size: str) -> Markup:
    """The picture, "" without phases."""
    end = max((row.end_s for row in rows), default=0.0)
    if not rows or end <= 0:
        return Markup("")
    width, left = _SIZES[size]
    frame = Frame(width, 70 + _ROW * len(rows), left=left, right=70, top=10)
    area = frame.area
    step = step_of(end, 6 if size == "wide" else 3)
    count = int(end / step)
    for number in range(count + 1):
        x = area.left + number * step / end * (area.right - area.left)
        frame.line(x, area.top, x, area.bottom, "grid")
        frame.tick_x(x, f"{number * step:g}")
    frame.across("Seconds since the request came")
    for number, row in enumerate(rows):
        _phase(frame, number, row, end, size)
    label = "; ".join(f"{row.name}: {seconds(row.end_s - row.start_s)}" for row in rows)
    return frame.svg(size, label)


def _phase(frame: Frame, number: int, row: Phase, end: float, size: str) -> None:
    area = frame.area
    wide = area.right - area.left
    x1, x2 = (area.left + at / end * wide for at in (row.start_s, row.end_s))
    top = area.top + 6 + number * _ROW
    frame.box(Box(x1, top, max(x2, x1 + 2), top + 20), f"phase {row.kind}")
    words = row.name if size == "wide" else row.name.removeprefix("until the ").split(" of ")[0]
    frame.text(area.left - 8, top + 15, words, "tick", "end")
    frame.text(max(x2, x1 + 2) + 6, top + 15, seconds(row.end_s - row.start_s), "value", "start")
