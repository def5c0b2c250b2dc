"""Values over time: one or two lines on one scale; intervals without a value are gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from markupsafe import Markup

from modelscan.web.charts.frame import Frame, step_of
from modelscan.web.words import UNKNOWN, speed

_WIDTH, _HEIGHT = 372, 210
_DAY_S = 86_400
_STEPS_S = (60, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, _DAY_S, 2 * _DAY_S)


@dataclass(frozen=True, slots=True)
class Line:
    """A column with its name; ``kind``: k0 or k1, the colour and the dashes."""

    name: str
    values: Sequence[float | None]
    kind: str = "k0"

    @property
    def known(self) -> list[float]:
        """The values that are known."""
        return [value for value in self.values if value is not None]


def course(
    times: Sequence[float], lines: Sequence[Line], unit: str, *, band: bool = False
) -> Markup:
    """The picture, "" where no line has a value other than 0. ``times``: UNIX, of equal distance.

    ``band``: the space between two lines is filled, as of a median and its 95th percentile.
    """
    if len(times) < 2 or not any(value for line in lines for value in line.known):
        return Markup("")
    frame = Frame(_WIDTH, _HEIGHT, left=52, right=10, bottom=30)
    scale = _Scale(frame, times, lines)
    _axes(frame, scale, unit)
    if band and len(lines) == 2:
        _band(frame, scale, lines[0].values, lines[1].values)
    for line in lines:
        _line(frame, scale, line)
    if len(lines) > 1:
        _names(frame, lines)
    return frame.svg("small", sentence(lines, unit))


def sentence(lines: Sequence[Line], unit: str) -> str:
    """What the picture shows, in words."""
    rows = []
    for line in lines:
        known = line.known
        now = next((one for one in reversed(line.values) if one is not None), None)
        highest = speed(max(known)) if known else UNKNOWN
        rows.append(f"{line.name}: last {speed(now)}, highest {highest}")
    return f"{unit} over time: {'; '.join(rows)}. The same numbers are in the table below."


class _Scale:
    """From 0 to the highest value; the time from left to right."""

    def __init__(self, frame: Frame, times: Sequence[float], lines: Sequence[Line]) -> None:
        self.area = frame.area
        self.step_s = times[1] - times[0]
        self.first, self.last = times[0], times[-1] + self.step_s
        self.times = times
        highest = max(max(line.known, default=0.0) for line in lines)
        self.step = step_of(highest, 4)
        self.top = math.ceil(highest / self.step - 1e-9) * self.step

    def x(self, at: float) -> float:
        part = (at - self.first) / (self.last - self.first)
        return self.area.left + part * (self.area.right - self.area.left)

    def y(self, value: float) -> float:
        return self.area.bottom - value / self.top * (self.area.bottom - self.area.top)

    def point(self, number: int, value: float) -> tuple[float, float]:
        """The middle of an interval."""
        return self.x(self.times[number] + self.step_s / 2), self.y(value)


def _axes(frame: Frame, scale: _Scale, unit: str) -> None:
    count = round(scale.top / scale.step)
    for number in range(count + 1):
        frame.tick_y(scale.y(number * scale.step), f"{number * scale.step:,.6g}")
    frame.line(frame.area.left, frame.area.bottom, frame.area.right, frame.area.bottom, "axis")
    span = scale.last - scale.first
    step = next((one for one in _STEPS_S if span / one <= 4), 7 * _DAY_S)
    at = math.ceil(scale.first / step) * step
    while at <= scale.last:
        if frame.area.left + 14 <= scale.x(at) <= frame.area.right - 14:
            frame.tick_x(scale.x(at), clock(at, days=step >= _DAY_S))
        at += step
    frame.title(unit)


def clock(at: float, *, days: bool = False) -> str:
    """A moment as the axis shows it: 14:05, or 27 Nov."""
    moment = datetime.fromtimestamp(at, timezone.utc)
    return f"{moment.day} {moment:%b}" if days else f"{moment:%H:%M}"


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Neighbours that are known, as groups."""
    runs: list[list[tuple[int, float]]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((number, value))
    return [run for run in runs if run]


def _line(frame: Frame, scale: _Scale, line: Line) -> None:
    for run in _runs(line.values):
        places = [scale.point(number, value) for number, value in run]
        if len(places) == 1:
            (x, y) = places[0]
            frame.mark("circle" if line.kind == "k0" else "square", x, y, 2.6,
                       f"pt {line.kind}", f"{line.name}: {speed(run[0][1])}")  # fmt: skip
            continue
        path = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(places))
        frame.out.append(f'<path class="kv {line.kind}" d="{path}"/>')


def _names(frame: Frame, lines: Sequence[Line]) -> None:
    """Which line is which, from the right above the plot."""
    x = frame.area.right
    for line in reversed(lines):
        frame.text(x, 16, line.name, f"series {line.kind}", "end")
        x -= 7.5 * len(line.name) + 6
        y = 12.0
        frame.out.append(f'<path class="kv {line.kind}" d="M{x - 22:.1f} {y}L{x:.1f} {y}"/>')
        x -= 40


def _band(
    frame: Frame, scale: _Scale, low: Sequence[float | None], high: Sequence[float | None]
) -> None:
    both = [
        None if a is None or b is None else b for a, b in zip(low, high, strict=True)
    ]  # fmt: skip
    for run in _runs(both):
        if len(run) < 2:
            continue
        upper = [scale.point(number, value) for number, value in run]
        lower = [scale.point(number, low[number] or 0.0) for number, _ in reversed(run)]
        path = " ".join(
            f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate([*upper, *lower])
        )
        frame.out.append(f'<path class="band" d="{path}Z"/>')
