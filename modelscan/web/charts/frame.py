"""What every chart shares: the plot area, marks and text, and labels that avoid each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

LETTER, BOLD_LETTER = 7.2, 9.0  # pixels of a letter, about


class Box(NamedTuple):
    """A rectangle in the chart's pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether two rectangles overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


class Frame:
    """A chart of ``width`` x ``height`` pixels; its plot area is inside the margins."""

    def __init__(
        self, width: int, height: int, *, left: int = 52, right: int = 16, top: int = 30,
        bottom: int = 44,
    ) -> None:  # fmt: skip
        self.width, self.height = width, height
        self.area = Box(left, top, width - right, height - bottom)
        self.out: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line of a class."""
        self.out.append(
            f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        )

    def box(self, box: Box, kind: str) -> None:
        """A filled rectangle of a class."""
        self.out.append(
            f'<rect class="{kind}" x="{box.left:.1f}" y="{box.top:.1f}" '
            f'width="{max(0.0, box.right - box.left):.1f}" '
            f'height="{max(0.0, box.bottom - box.top):.1f}"/>'
        )

    def text(
        self, x: float, y: float, words: str, kind: str = "tick", anchor: str = "middle"
    ) -> None:
        """Text, escaped."""
        self.out.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def mark(self, shape: str, x: float, y: float, r: float, kind: str, title: str) -> None:
        """A point with a title: ``circle``, ``square`` or ``triangle`` of radius ``r``."""
        name, where = _SHAPES[shape](x, y, r)
        self.out.append(f'<{name} class="{kind}" {where}><title>{escape(title)}</title></{name}>')

    def title(self, words: str) -> None:
        """What the vertical axis shows, above it."""
        self.text(4, 16, words, "label", "start")

    def across(self, words: str) -> None:
        """What the horizontal axis shows, below it."""
        self.line(self.area.left, self.area.bottom, self.area.right, self.area.bottom, "axis")
        self.text((self.area.left + self.area.right) / 2, self.height - 6, words, "label")

    def tick_x(self, x: float, words: str) -> None:
        """A tick of the horizontal axis."""
        self.line(x, self.area.bottom, x, self.area.bottom + 5, "axis")
        self.text(x, self.area.bottom + 19, words)

    def tick_y(self, y: float, words: str) -> None:
        """A grid line with its number."""
        self.line(self.area.left, y, self.area.right, y, "grid")
        self.text(self.area.left - 8, y + 4, words, anchor="end")

    def svg(self, size: str, label: str) -> Markup:
        """The picture; ``label`` is the sentence that says what it shows."""
        return Markup(
            f'<svg class="chart {size}" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(label)}">{"".join(self.out)}</svg>'
        )


def _circle(x: float, y: float, r: float) -> tuple[str, str]:
    return "circle", f'cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"'


def _square(x: float, y: float, r: float) -> tuple[str, str]:
    side = 1.8 * r
    place = f'x="{x - side / 2:.1f}" y="{y - side / 2:.1f}"'
    return "rect", f'{place} width="{side:.1f}" height="{side:.1f}"'


def _triangle(x: float, y: float, r: float) -> tuple[str, str]:
    return "path", f'd="M{x:.1f} {y - 1.2 * r:.1f}l{1.2 * r:.1f} {2.1 * r:.1f}h{-2.4 * r:.1f}z"'


_SHAPES = {"circle": _circle, "square": _square, "triangle": _triangle}


def step_of(span: float, most: int) -> float:
    """The smallest step of 1, 2, 5 times a power of ten that makes at most ``most`` ticks."""
    step = 0.001
    while True:
        for factor in (1, 2, 5):
            if span / (step * factor) <= most:
                return step * factor
        step *= 10


def binary_step(span: float, most: int) -> float:
    """The smallest power of two that makes at most ``most`` ticks."""
    step = 0.125
    while span / step > most:
        step *= 2
    return step


def place_label(
    x: float, y: float, words: str, r: float, taken: Sequence[Box], inside: Box,
    *, letter: float = LETTER,
) -> tuple[float, float, str, Box] | None:  # fmt: skip
    """Where a label of a point is free of other boxes: x, y, anchor, box; None: nowhere.
    ``letter``: the width of one, about.
    """
    long = letter * len(words)
    places = (
        (r + 5, 4, "start"), (-r - 5, 4, "end"), (0, -r - 6, "middle"), (0, r + 14, "middle"),
        (-r, -r - 2, "end"), (r, -r - 2, "start"), (-r, r + 9, "end"), (r, r + 9, "start"),
    )  # fmt: skip
    for dx, dy, anchor in places:
        shift = {"start": 0.0, "middle": long / 2, "end": long}[anchor]
        left = x + dx - shift
        box = Box(left, y + dy - 10, left + long, y + dy + 3)
        within = box.left >= inside.left and box.right <= inside.right + 6
        within = within and box.top >= inside.top - 10 and box.bottom <= inside.bottom
        if within and not any(box.meets(other) for other in taken):
            return x + dx, y + dy, anchor, box
    return None
