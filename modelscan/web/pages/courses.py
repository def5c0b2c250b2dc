"""Rates and latencies over time: pictures without a script, the columns that a script draws, and
the same numbers as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelscan.web.charts.course import Line, clock
from modelscan.web.series import Column, Series
from modelscan.web.words import UNKNOWN, seconds, speed, whole

POINTS, ROWS = 60, 12


@dataclass(frozen=True, slots=True)
class CourseFigure:
    """One picture. ``columns``: what the script draws, ``name:label:colour`` with commas;
    ``what``: what it shows, in words.
    """

    what: str
    unit: str
    lines: tuple[Line, ...]
    columns: str
    band: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for line in self.lines for value in line.known)


@dataclass(frozen=True, slots=True)
class CourseRow:
    """A row of the table; texts. ``at``: when the interval began, UTC."""

    at: str
    requests: str
    failed: str
    tokens_per_s: str
    first_token: str
    latency: str
    waiting: str


@dataclass(frozen=True, slots=True)
class Courses:
    """Everything of a page's section. ``url``: of the columns for the script."""

    times: tuple[float, ...]
    figures: tuple[CourseFigure, ...]
    rows: tuple[CourseRow, ...]
    url: str


def traffic_courses(fine: Series, coarse: Series, url: str) -> Courses:
    """Of all requests: throughput, requests, latency."""
    figures = (
        _figure("Output tokens per second", "tokens/s", fine, ("tokens_per_s", "tokens/s")),
        _figure("Requests per second, and those that failed", "requests/s", fine,
                ("requests_per_s", "all"), ("errors_per_s", "failed")),
        _figure("Seconds per request, median and 95th percentile", "seconds", fine,
                ("latency_p50_s", "p50"), ("latency_p95_s", "p95"), band=True),
    )  # fmt: skip
    return Courses(fine.t, figures, _rows(coarse), url)


def deployment_courses(fine: Series, coarse: Series, url: str) -> Courses:
    """Of one deployment: throughput, waiting requests, first token."""
    figures = (
        _figure("Output tokens per second", "tokens/s", fine, ("tokens_per_s", "tokens/s")),
        _figure("Seconds until the first token, median and 95th percentile",
                "seconds", fine, ("ttft_p50_s", "p50"),
                ("ttft_p95_s", "p95"), band=True),
        _figure("Requests that run and that wait", "requests", fine, ("running", "running"),
                ("waiting", "waiting")),
    )  # fmt: skip
    return Courses(fine.t, figures, _rows(coarse), url)


def _figure(
    what: str, unit: str, of: Series, *columns: tuple[str, str], band: bool = False
) -> CourseFigure:
    lines = tuple(
        Line(label, getattr(of, name), f"k{number}") for number, (name, label) in enumerate(columns)
    )
    colours = ("weights", "kv")
    script = ",".join(
        f"{name}:{label}:{colour}" for (name, label), colour in zip(columns, colours, strict=False)
    )
    return CourseFigure(what, unit, lines, script, band)


def _rows(of: Series) -> tuple[CourseRow, ...]:
    """The newest interval first; those of a day or more with their date."""
    days = of.step_s * len(of.t) > 86_400
    rows = [
        CourseRow(
            f"{clock(at, days=True)} {clock(at)}" if days else clock(at),
            _count(of.requests_per_s[n], of.step_s), _count(of.errors_per_s[n], of.step_s),
            speed(of.tokens_per_s[n]), _pair(of.ttft_p50_s, of.ttft_p95_s, n),
            _pair(of.latency_p50_s, of.latency_p95_s, n), whole(of.waiting[n]),
        )
        for n, at in enumerate(of.t)
    ]  # fmt: skip
    return tuple(reversed(rows))


def _count(rate: float | None, step_s: float) -> str:
    return UNKNOWN if rate is None else f"{rate * step_s:,.0f}"


def _pair(low: Sequence[float | None], high: Column, n: int) -> str:
    return UNKNOWN if low[n] is None else f"{seconds(low[n])} / {seconds(high[n])}"
